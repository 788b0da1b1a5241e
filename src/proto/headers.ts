/**
 * What a graph needs of each message at once, read without decoding the message: names, operators, shapes, places.
 * Each function passes one message of a skeleton and returns undefined, wherever it is then, when there is more in
 * it that has to be seen: tensors, graphs, values, fields of the future.
 */

import { PAYLOAD_THRESHOLD } from './limits.ts';
import { type NameTable, NO_NAME } from './name-table.ts';
import { LosslessReader } from './strings.ts';
import { isToken } from './token.ts';

/** Type and shape of a tensor, and its value or the place of its value. */
export interface TensorHeader {
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Undefined for a tensor that is not external data. */
  readonly externalData: readonly { readonly key: string; readonly value: string }[] | undefined;
  /** Length of `raw_data`; 0 for a tensor that has none. */
  readonly rawByteLength: number;
  /** A view of `raw_data`: not to be written to. */
  rawData(): Uint8Array;
}

/** TensorProto.DataLocation.EXTERNAL */
export const EXTERNAL = 1;

/** Fields of AttributeProto that hold tensors or graphs: t, g, tensors, graphs, sparse_tensor, sparse_tensors. */
const HOLDING_FIELDS = new Set([5, 6, 10, 11, 22, 23]);

/** Tags: number × 8 + wire type. */
const NODE = { INPUT: 10, OUTPUT: 18, NAME: 26, OP_TYPE: 34, ATTRIBUTE: 42, DOMAIN: 58 } as const;
const INFO = { NAME: 10 } as const;
const ENTRY = { KEY: 10, VALUE: 18 } as const;
const TENSOR = {
  DIM: 8,
  DIMS: 10,
  DATA_TYPE: 16,
  NAME: 66,
  RAW_DATA: 74,
  DOC_STRING: 98,
  EXTERNAL_DATA: 106,
  DATA_LOCATION: 112,
  METADATA: 130,
} as const;

/** Fields of a tensor that tell nothing a header needs to be decoded for. */
const PASSED_TAGS = new Set<number>(Object.values(TENSOR));

/** Varints of so many bytes are read without 64-bit arithmetic. */
const SHORT_VARINT_BYTES = 4;

/** Places in the record of a node on the tape; the numbers of its inputs and then its outputs follow. */
const RECORD = {
  OP_TYPE: 0,
  DOMAIN: 1,
  NAME: 2,
  INPUT_COUNT: 3,
  OUTPUT_COUNT: 4,
  LENGTH: 5,
} as const;

/** Places in the record of a message that is not decoded. */
const PLACE = { MARK: 0, START: 1, END: 2, LENGTH: 3 } as const;

/**
 * What is known of the messages of a skeleton that are not decoded, in one array: where each is, and of nodes the
 * numbers of their names. Memory: 12 bytes a message, 20 more a node and 4 an input or output.
 */
export class NodeTape {
  readonly names: NameTable;
  /** For messages. */
  readonly fileName: string;
  /** Messages that were decoded after all, by the place of their record. */
  readonly decoded = new Map<number, unknown>();
  readonly #reader: LosslessReader;
  #data = new Int32Array(4096);
  #length = 0;

  /** @param names the names of a skeleton, whose bytes it holds */
  constructor(names: NameTable, fileName: string) {
    this.names = names;
    this.fileName = fileName;
    this.#reader = new LosslessReader(names.buffer);
  }

  /** Notes a message of bytes `start` to `end`, and what passing it gave; returns where. */
  addPlace(mark: number, start: number, end: number): number {
    const at = this.#length;
    this.#reserve(PLACE.LENGTH);
    this.#length += PLACE.LENGTH;
    this.#data[at + PLACE.MARK] = mark;
    this.#data[at + PLACE.START] = start;
    this.#data[at + PLACE.END] = end;
    return at;
  }

  mark(at: number): number {
    return this.#data[at + PLACE.MARK] as number;
  }

  /** The bytes of the message noted at `at`. */
  bytes(at: number): Uint8Array {
    return this.names.buffer.subarray(this.#data[at + PLACE.START], this.#data[at + PLACE.END]);
  }

  /** A reader of the message noted at `at`, valid until the next is asked for. */
  reader(at: number): LosslessReader {
    this.#reader.pos = this.#data[at + PLACE.START] as number;
    this.#reader.len = this.#data[at + PLACE.END] as number;
    return this.#reader;
  }

  /** Begins the record of a node and returns where it is. Inputs and then outputs follow by {@link push}. */
  begin(): number {
    const at = this.#length;
    this.#reserve(RECORD.LENGTH);
    this.#length += RECORD.LENGTH;
    return at;
  }

  push(id: number): void {
    this.#reserve(1);
    this.#data[this.#length++] = id;
  }

  /** Completes the record at `at`. */
  end(at: number, opType: number, domain: number, name: number, inputCount: number): void {
    const data = this.#data;
    data[at + RECORD.OP_TYPE] = opType;
    data[at + RECORD.DOMAIN] = domain;
    data[at + RECORD.NAME] = name;
    data[at + RECORD.INPUT_COUNT] = inputCount;
    data[at + RECORD.OUTPUT_COUNT] = this.#length - at - RECORD.LENGTH - inputCount;
  }

  /** Gives up the record at `at` and what follows it. */
  drop(at: number): void {
    this.#length = at;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#data.length) return;
    const larger = new Int32Array(2 * this.#data.length);
    larger.set(this.#data);
    this.#data = larger;
  }

  opType(at: number): string {
    return this.names.text(this.#data[at + RECORD.OP_TYPE] as number);
  }

  domain(at: number): string {
    return this.names.text(this.#data[at + RECORD.DOMAIN] as number);
  }

  name(at: number): string {
    return this.names.peek(this.#data[at + RECORD.NAME] as number);
  }

  inputCount(at: number): number {
    return this.#data[at + RECORD.INPUT_COUNT] as number;
  }

  outputCount(at: number): number {
    return this.#data[at + RECORD.OUTPUT_COUNT] as number;
  }

  /** Number of the name of input `index`. */
  input(at: number, index: number): number {
    return this.#data[at + RECORD.LENGTH + index] as number;
  }

  /** Number of the name of output `index`. */
  output(at: number, index: number): number {
    return this.#data[at + RECORD.LENGTH + this.inputCount(at) + index] as number;
  }
}

/** Throws when the fields of a message did not end where it does. */
function requireEnd(reader: LosslessReader, end: number): void {
  if (reader.pos !== end) throw new RangeError('index out of range');
}

function passField(reader: LosslessReader, tag: number): void {
  reader.skipType(tag & 7, 0, tag >>> 3);
}

/** Passes an attribute; true when it holds a tensor or a graph. */
function passAttribute(reader: LosslessReader): boolean {
  const end = reader.size() + reader.pos;
  let holds = false;
  while (reader.pos < end) {
    const tag = reader.tag();
    holds ||= HOLDING_FIELDS.has(tag >>> 3);
    passField(reader, tag);
  }
  requireEnd(reader, end);
  return holds;
}

/** Passes a name and returns its number. */
function passName(reader: LosslessReader, names: NameTable): number {
  const end = reader.size() + reader.pos;
  if (end > reader.len) throw new RangeError('index out of range');
  const id = names.intern(reader.pos, end);
  reader.pos = end;
  return id;
}

/**
 * Passes a node without tensors and graphs in its attributes, whose inputs come before its outputs as every writer
 * has them; returns where it is on the tape.
 */
export function passNode(reader: LosslessReader, end: number, tape: NodeTape): number | undefined {
  const { names } = tape;
  const at = tape.begin();
  let inputCount = 0;
  let hasOutputs = false;
  let isPlain = true;
  let name = NO_NAME;
  let opType = NO_NAME;
  let domain = NO_NAME;
  while (isPlain && reader.pos < end) {
    const tag = reader.tag();
    if (tag === NODE.INPUT) {
      tape.push(passName(reader, names));
      inputCount++;
      isPlain = !hasOutputs;
    } else if (tag === NODE.OUTPUT) {
      tape.push(passName(reader, names));
      hasOutputs = true;
    } else if (tag === NODE.NAME) name = passName(reader, names);
    else if (tag === NODE.OP_TYPE) opType = passName(reader, names);
    else if (tag === NODE.DOMAIN) domain = passName(reader, names);
    else if (tag === NODE.ATTRIBUTE) isPlain = !passAttribute(reader);
    else passField(reader, tag);
  }
  if (isPlain) tape.end(at, opType, domain, name, inputCount);
  else tape.drop(at);
  return isPlain ? at : undefined;
}

/** The name of a ValueInfoProto. */
export function readInfoName(reader: LosslessReader, end: number): string {
  let name = '';
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag === INFO.NAME) name = reader.string();
    else passField(reader, tag);
  }
  return name;
}

/** A varint of up to four bytes; undefined for a longer one, which is a large or negative number. */
function readShortVarint(reader: LosslessReader): number | undefined {
  const { buf, pos } = reader;
  let value = 0;
  for (let i = 0; i < SHORT_VARINT_BYTES; i++) {
    const byte = buf[pos + i] ?? 128;
    value |= (byte & 127) << (7 * i);
    if (byte < 128) {
      reader.pos = pos + i + 1;
      return value;
    }
  }
  return undefined;
}

/** Passes a tensor that is external data or holds its value in `raw_data`, or has none; returns the number of its name. */
export function passTensor(
  reader: LosslessReader,
  end: number,
  tape: NodeTape,
): number | undefined {
  let name = NO_NAME;
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag === TENSOR.NAME) name = passName(reader, tape.names);
    else if (!PASSED_TAGS.has(tag)) return undefined;
    else if (tag !== TENSOR.RAW_DATA) passField(reader, tag);
    else {
      const length = reader.size();
      const isShort = length < PAYLOAD_THRESHOLD;
      const bytes = reader.buf.subarray(reader.pos, reader.pos + length);
      if (isShort && isToken('raw_data', bytes)) return undefined;
      reader.skip(length);
    }
  }
  return name;
}

function readEntry(reader: LosslessReader): { key: string; value: string } {
  const end = reader.size() + reader.pos;
  let key = '';
  let value = '';
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag === ENTRY.KEY) key = reader.string();
    else if (tag === ENTRY.VALUE) value = reader.string();
    else passField(reader, tag);
  }
  requireEnd(reader, end);
  return { key, value };
}

/** Reads a tensor that {@link passTensor} has passed; undefined when a number in it has more than 28 bits. */
export function readTensorHeader(reader: LosslessReader): TensorHeader | undefined {
  const dims: number[] = [];
  const entries: { key: string; value: string }[] = [];
  let dataType = 0;
  let location = 0;
  let rawStart = 0;
  let rawByteLength = 0;
  while (reader.pos < reader.len) {
    const tag = reader.tag();
    if (tag === TENSOR.DIM || tag === TENSOR.DIMS) {
      const listEnd = tag === TENSOR.DIM ? reader.pos + 1 : reader.size() + reader.pos;
      while (reader.pos < listEnd) {
        const dim = readShortVarint(reader);
        if (dim === undefined) return undefined;
        dims.push(dim);
      }
      if (tag === TENSOR.DIMS) requireEnd(reader, listEnd);
    } else if (tag === TENSOR.DATA_TYPE || tag === TENSOR.DATA_LOCATION) {
      const value = readShortVarint(reader);
      if (value === undefined) return undefined;
      if (tag === TENSOR.DATA_TYPE) dataType = value;
      else location = value;
    } else if (tag === TENSOR.EXTERNAL_DATA) entries.push(readEntry(reader));
    else if (tag === TENSOR.RAW_DATA) {
      rawByteLength = reader.size();
      rawStart = reader.pos;
      reader.skip(rawByteLength);
    } else passField(reader, tag);
  }
  const { buf } = reader;
  return {
    dims,
    dataType,
    externalData: location === EXTERNAL ? entries : undefined,
    rawByteLength,
    rawData: () => buf.subarray(rawStart, rawStart + rawByteLength),
  };
}
