/**
 * Where the messages of a graph are and what they are called, found without decoding them: nodes and tensors go on
 * the tape, everything else is left to the message types. What this file does, native/graph-index.cc does faster; a
 * test compares the two.
 */

import { loadNative } from '../native.ts';
import { DAMAGED, DECODED, INFO, type NodeTape, passField, requireEnd, TENSOR } from './headers.ts';
import { PAYLOAD_THRESHOLD } from './limits.ts';
import { hashBasis, type NameTable, NO_NAME } from './name-table.ts';
import type { LosslessReader } from './reader.ts';
import { isToken, tokenPrefix } from './token.ts';

/** Lists of messages in a graph or a function, in the order of their places on the tape. */
export const LISTS = ['node', 'initializer', 'input', 'output', 'valueInfo'] as const;

/** One of {@link LISTS}. */
export type ListName = (typeof LISTS)[number];

/** Field number of each of {@link LISTS}; 0 for one that the message type does not have. */
export type ListFields = readonly [number, number, number, number, number];

/** What a message consists of. */
export interface GraphIndex {
  /** Where on the tape the places of the messages are: list by list, in the order of the file. */
  readonly at: number;
  /** How many messages each list has. */
  readonly counts: Int32Array;
  /** Starts and ends of the stretches with other fields. */
  readonly others: Int32Array;
}

/** Messages of fewer bytes are indexed in TypeScript: a call of the addon costs as much as a dozen nodes. */
const NATIVE_FROM_BYTES = 1024;

/** Fields of AttributeProto that hold tensors or graphs: t, g, tensors, graphs, sparse_tensor, sparse_tensors. */
const HOLDING_FIELDS = new Set([5, 6, 10, 11, 22, 23]);

/** Tags: number × 8 + wire type. */
const NODE = { INPUT: 10, OUTPUT: 18, NAME: 26, OP_TYPE: 34, ATTRIBUTE: 42, DOMAIN: 58 } as const;

/** Fields of a tensor that tell nothing a header needs to be decoded for. */
const PASSED_TAGS = new Set<number>(Object.values(TENSOR));

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
 * has them; returns where it is on the tape, or
 * {@link DECODED} for any other.
 */
function passNode(reader: LosslessReader, end: number, tape: NodeTape): number {
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
  return isPlain ? at : DECODED;
}

/**
 * Passes a tensor that is external data or holds its value in `raw_data`, or has none; returns the number of its name,
 * or {@link DECODED} for any other.
 */
export function passTensor(reader: LosslessReader, end: number, tape: NodeTape): number {
  let name = NO_NAME;
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag === TENSOR.NAME) name = passName(reader, tape.names);
    else if (!PASSED_TAGS.has(tag)) return DECODED;
    else if (tag !== TENSOR.RAW_DATA) passField(reader, tag);
    else {
      const length = reader.size();
      const isShort = length < PAYLOAD_THRESHOLD;
      const bytes = reader.buf.subarray(reader.pos, reader.pos + length);
      if (isShort && isToken('raw_data', bytes)) return DECODED;
      reader.skip(length);
    }
  }
  return name;
}

/** Passes an entry of `input` or `output`; returns the number of its name. */
function passInterface(reader: LosslessReader, end: number, tape: NodeTape): number {
  let name = NO_NAME;
  try {
    while (reader.pos < end) {
      const tag = reader.tag();
      if (tag === INFO.NAME) name = passName(reader, tape.names);
      else passField(reader, tag);
    }
  } catch {
    return DAMAGED;
  }
  return name;
}

/** Passes an entry of `value_info`: nobody may ever ask for it. */
function passInfo(): number {
  return NO_NAME;
}

const PASS = [passNode, passTensor, passInterface, passInterface, passInfo];
/** Lists from here on may hold what is damaged. */
const FIRST_UNREAD = 2;

/** As {@link indexGraph}, without the addon. */
export function indexInTypeScript(
  tape: NodeTape,
  start: number,
  end: number,
  fields: ListFields,
): GraphIndex {
  const reader = tape.readerOf(start, end);
  const places: number[][] = LISTS.map(() => []);
  const others: number[] = [];
  while (reader.pos < end) {
    reader.len = end;
    const fieldStart = reader.pos;
    const tag = reader.tag();
    const list = (tag & 7) === 2 ? fields.indexOf(tag >>> 3) : -1;
    if (list < 0 || tag >>> 3 === 0) {
      passField(reader, tag);
      if (others.at(-1) === fieldStart) others.pop();
      else others.push(fieldStart);
      others.push(reader.pos);
      continue;
    }
    const length = reader.size();
    const messageStart = reader.pos;
    const messageEnd = messageStart + length;
    if (messageEnd > end) throw new RangeError('index out of range');
    reader.len = messageEnd;
    const mark = (PASS[list] as typeof passNode)(reader, messageEnd, tape);
    if (list < FIRST_UNREAD && mark !== DECODED) requireEnd(reader, messageEnd);
    places[list]?.push(mark, messageStart, messageEnd);
    reader.pos = messageEnd;
  }
  requireEnd(reader, end);
  const at = tape.length;
  for (const list of places) {
    for (let i = 0; i < list.length; i += 3) {
      tape.addPlace(list[i] as number, list[i + 1] as number, list[i + 2] as number);
    }
  }
  return {
    at,
    counts: Int32Array.from(places, ({ length }) => length / 3),
    others: Int32Array.from(others),
  };
}

/** As {@link indexGraph}, with the addon; undefined where there is none, or where it is not sure. */
export function indexNatively(
  tape: NodeTape,
  start: number,
  end: number,
  fields: ListFields,
): GraphIndex | undefined {
  const names = tape.names.arrays;
  const index =
    names &&
    loadNative()?.indexGraph({
      bytes: tape.names.buffer,
      start,
      end,
      fields: Int32Array.from(fields),
      tape: tape.data,
      tapeLength: tape.length,
      names: names.records,
      nameCount: names.size,
      slots: names.slots,
      hashBasis: hashBasis(),
      tokenPrefix: tokenPrefix(),
    });
  if (index === undefined) return undefined;
  tape.adopt(index.tape, index.tapeLength);
  tape.names.adopt({ records: index.names, slots: index.slots, size: index.nameCount });
  return index;
}

/**
 * Finds the messages of the graph or function at `start` to `end` of the skeleton. Their places go on the tape, and so
 * do the names of nodes; the marks of tensors, inputs and outputs are the numbers of their names. Throws what
 * LosslessReader throws for bytes that are no message.
 */
export function indexGraph(
  tape: NodeTape,
  start: number,
  end: number,
  fields: ListFields,
): GraphIndex {
  const index =
    end - start < NATIVE_FROM_BYTES ? undefined : indexNatively(tape, start, end, fields);
  return index ?? indexInTypeScript(tape, start, end, fields);
}
