/**
 * What a graph needs of each message at once, read without decoding the message: names, operators, shapes, places.
 * Each function passes one message of a skeleton and returns its header, or undefined when there is more in it that
 * has to be seen: tensors, graphs, values.
 */

import type { LosslessReader } from './strings.ts';

/** Names and operator of a node. */
export interface NodeHeader {
  readonly input?: readonly string[] | null;
  readonly output?: readonly string[] | null;
  readonly name?: string | null;
  readonly opType?: string | null;
  readonly domain?: string | null;
}

/** Type, shape and place of a tensor whose value is external data. */
export interface ExternalHeader {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly externalData: readonly { readonly key: string; readonly value: string }[];
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
  DOC_STRING: 98,
  EXTERNAL_DATA: 106,
  DATA_LOCATION: 112,
  METADATA: 130,
} as const;

/** Varints of so many bytes are read without 64-bit arithmetic. */
const SHORT_VARINT_BYTES = 4;

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

/** A node without tensors and graphs in its attributes. */
export function readNodeHeader(reader: LosslessReader, end: number): NodeHeader | undefined {
  const input: string[] = [];
  const output: string[] = [];
  let name = '';
  let opType = '';
  let domain = '';
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag === NODE.INPUT) input.push(reader.string());
    else if (tag === NODE.OUTPUT) output.push(reader.string());
    else if (tag === NODE.NAME) name = reader.string();
    else if (tag === NODE.OP_TYPE) opType = reader.string();
    else if (tag === NODE.DOMAIN) domain = reader.string();
    else if (tag !== NODE.ATTRIBUTE) passField(reader, tag);
    else if (passAttribute(reader)) return undefined;
  }
  return { input, output, name, opType, domain };
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

/** A tensor whose value is external data, with dimensions below 2^28. */
export function readExternalHeader(
  reader: LosslessReader,
  end: number,
): ExternalHeader | undefined {
  const dims: number[] = [];
  const externalData: { key: string; value: string }[] = [];
  let name = '';
  let dataType = 0;
  let location: number | undefined = 0;
  while (reader.pos < end) {
    const tag = reader.tag();
    if (tag === TENSOR.DIM || tag === TENSOR.DIMS) {
      const listEnd = tag === TENSOR.DIM ? reader.pos + 1 : reader.size() + reader.pos;
      while (reader.pos < listEnd) {
        const dim = readShortVarint(reader);
        if (dim === undefined) return undefined;
        dims.push(dim);
      }
    } else if (tag === TENSOR.DATA_TYPE || tag === TENSOR.DATA_LOCATION) {
      const value = readShortVarint(reader);
      if (value === undefined) return undefined;
      if (tag === TENSOR.DATA_TYPE) dataType = value;
      else location = value;
    } else if (tag === TENSOR.NAME) name = reader.string();
    else if (tag === TENSOR.EXTERNAL_DATA) externalData.push(readEntry(reader));
    else if (tag === TENSOR.DOC_STRING || tag === TENSOR.METADATA) passField(reader, tag);
    else return undefined;
  }
  return location === EXTERNAL ? { name, dims, dataType, externalData } : undefined;
}
