/** What is known of messages that are not decoded: places, names, operators, and of tensors shapes. */

import { withLength } from '../bytes.ts';
import type { NameTable } from './name-table.ts';
import { LosslessReader } from './reader.ts';

/** What the entries of `external_data` say, where they are those that writers make. */
export interface StatedPlace {
  readonly location: string;
  readonly byteOffset: number;
  /** Undefined where it is left to type and shape. */
  readonly byteLength: number | undefined;
  /** Whether the entries are location, offset and length, in this order, and numbers have the fewest digits. */
  readonly isPlain: boolean;
}

/** Type and shape of a tensor, and its value or the place of its value. */
export interface TensorHeader {
  readonly dims: readonly number[];
  readonly dataType: number;
  /** The place of external data that was read already; the entries are not at hand then. */
  readonly place?: StatedPlace | undefined;
  /** Undefined for a tensor that is not external data, or whose {@link place} is known. */
  readonly externalData: readonly { readonly key: string; readonly value: string }[] | undefined;
  /** Length of `raw_data`; 0 for a tensor that has none. */
  readonly rawByteLength: number;
  /** A view of `raw_data`: not to be written to. */
  rawData(): Uint8Array;
}

/** TensorProto.DataLocation.EXTERNAL */
export const EXTERNAL = 1;

/** Tags: number × 8 + wire type. */
export const INFO = { NAME: 10 } as const;
const ENTRY = { KEY: 10, VALUE: 18 } as const;
export const TENSOR = {
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

/** Mark of a message that has to be decoded at once. */
export const DECODED = -1;
/** Mark of an input or output that is damaged: whoever looks at it is told. */
export const DAMAGED = -2;

/** The tape grows twofold until it has room for this much more. */
const LARGEST_STEP = 1024 * 1024;

/** Places in the record of a message that is not decoded. */
export const PLACE = { MARK: 0, START: 1, END: 2, LENGTH: 3 } as const;

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

  /** The tape up to its length and beyond, until the next record is added. */
  get data(): Int32Array<ArrayBuffer> {
    return this.#data;
  }

  get length(): number {
    return this.#length;
  }

  /** Takes what the addon made of the tape: records and places that follow what was there. */
  adopt(data: Int32Array<ArrayBuffer>, length: number): void {
    this.#data = data;
    this.#length = length;
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
    return this.readerOf(
      this.#data[at + PLACE.START] as number,
      this.#data[at + PLACE.END] as number,
    );
  }

  /** A reader of bytes `start` to `end`, valid until the next is asked for. */
  readerOf(start: number, end: number): LosslessReader {
    this.#reader.pos = start;
    this.#reader.len = end;
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
    const { length } = this.#data;
    if (this.#length + count <= length) return;
    this.#data = withLength(this.#data, length + Math.min(length, LARGEST_STEP));
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

  /** Number of the name of the operator. */
  opTypeId(at: number): number {
    return this.#data[at + RECORD.OP_TYPE] as number;
  }

  /** Number of the name of the operator's domain. */
  domainId(at: number): number {
    return this.#data[at + RECORD.DOMAIN] as number;
  }

  inputCount(at: number): number {
    return this.#data[at + RECORD.INPUT_COUNT] as number;
  }

  outputCount(at: number): number {
    return this.#data[at + RECORD.OUTPUT_COUNT] as number;
  }

  /** How many outputs the nodes with these records have. */
  outputTotal(records: Int32Array): number {
    const data = this.#data;
    let total = 0;
    for (let index = 0; index < records.length; index++) {
      total += data[(records[index] as number) + RECORD.OUTPUT_COUNT] as number;
    }
    return total;
  }

  /** Where the numbers of the names of inputs begin in {@link data}. */
  firstInput(at: number): number {
    return at + RECORD.LENGTH;
  }

  /** Where the numbers of the names of outputs begin in {@link data}. */
  firstOutput(at: number): number {
    return at + RECORD.LENGTH + this.inputCount(at);
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
export function requireEnd(reader: LosslessReader, end: number): void {
  if (reader.pos !== end) throw new RangeError('index out of range');
}

export function passField(reader: LosslessReader, tag: number): void {
  reader.skipType(tag & 7, 0, tag >>> 3);
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

/** Reads a tensor that is not decoded; undefined when a number in it has more than 28 bits. */
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
