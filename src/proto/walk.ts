/** Walks a serialized model field by field, without recursion, and shows every message and payload to a visitor. */

import type { FormatError } from '../errors.ts';
import type { FieldContent, MessageTypeName, PayloadField } from './layout.ts';
import { MESSAGE_FIELDS, MESSAGE_TYPES, PAYLOAD_FIELDS } from './layout.ts';
import {
  DEPTH_LIMIT,
  FIELD_HEAP_BYTES,
  HEAP_BYTE_LIMIT,
  MESSAGE_HEAP_BYTES,
  PACKED_INT64_HEAP_BYTES,
  PACKED_NUMBER_HEAP_BYTES,
  PAYLOAD_THRESHOLD,
  WHOLE_NODE_BYTES,
} from './limits.ts';
import type { WireReader } from './wire.ts';
import { WireType } from './wire.ts';

/** What a walk shows. Offsets are those of the reader. */
export interface ModelVisitor {
  /** A message field begins; its length varint, at `lengthOffset`, has just been read. */
  enter(lengthOffset: number, byteLength: number): void;
  /** The message entered last ends. */
  leave(): void;
  /**
   * A payload field of a tensor begins; its length varint, at `lengthOffset`, has just been read. The visitor
   * returns true when it has moved the reader past the payload.
   */
  payload(field: PayloadField, lengthOffset: number, byteLength: number): boolean;
  /**
   * A second piece of a tensor that protobuf merges into one: a repeated singular tensor or sparse tensor, or
   * numbers in several chunks.
   */
  merge(): void;
}

/** No field of the schema has a higher number. */
const FIELDS_PER_MESSAGE = 32;

/** Codes of the compiled layout above the message types; 0 is a leaf, 1 to 31 a message. */
const Content = {
  LEAF: 0,
  INT64: 32,
  INT32: 33,
  FLOAT: 34,
  DOUBLE: 35,
  RAW: 36,
  MASK: 63,
  MERGES: 64,
};

const CONTENT_CODES: Readonly<Record<string, number>> = {
  int64: Content.INT64,
  int32: Content.INT32,
  float: Content.FLOAT,
  double: Content.DOUBLE,
};

/** Fields whose second occurrence changes what the first one means, where a tensor is concerned. */
const MERGING_FIELDS: { readonly [type in MessageTypeName]?: readonly number[] } = {
  AttributeProto: [5, 22],
  SparseTensorProto: [1, 2],
  TensorProto: [PAYLOAD_FIELDS.float_data, PAYLOAD_FIELDS.double_data],
};

/** `value_info`: most of a graph, without tensors, and not decoded before something asks for an entry's type. */
const PASSED_OVER: { readonly [type in MessageTypeName]?: number } = {
  GraphProto: 13,
  FunctionProto: 12,
};

/** Number of the type of tensors. */
export const TENSOR = MESSAGE_TYPES.indexOf('TensorProto');

function compileLayout(): Uint8Array {
  const layout = new Uint8Array(MESSAGE_TYPES.length * FIELDS_PER_MESSAGE);
  MESSAGE_TYPES.forEach((name, type) => {
    const fields: Readonly<Record<number, FieldContent>> = MESSAGE_FIELDS[name];
    for (const [number, content] of Object.entries(fields)) {
      if (PASSED_OVER[name] === Number(number)) continue;
      const code = CONTENT_CODES[content] ?? MESSAGE_TYPES.indexOf(content as MessageTypeName) + 1;
      layout[type * FIELDS_PER_MESSAGE + Number(number)] = code;
    }
    for (const number of MERGING_FIELDS[name] ?? []) {
      const at = type * FIELDS_PER_MESSAGE + number;
      layout[at] = (layout[at] as number) + Content.MERGES;
    }
  });
  layout[TENSOR * FIELDS_PER_MESSAGE + PAYLOAD_FIELDS.raw_data] = Content.RAW;
  return layout;
}

/** The schema in one array, {@link FIELDS_PER_MESSAGE} codes a message type; the addon reads it too. */
export const LAYOUT = compileLayout();

/** How closely to look: `quick` passes over messages that are too small to hold a payload, `full` over none. */
export type WalkDepth = 'quick' | 'full';

/** By content code: messages of fewer bytes are passed over. Types of inputs and outputs are always looked into. */
export const WHOLE_BELOW = Uint16Array.from(['', ...MESSAGE_TYPES], (name) => {
  if (name === 'NodeProto') return WHOLE_NODE_BYTES;
  return name === 'ValueInfoProto' || name.startsWith('Type') ? 0 : PAYLOAD_THRESHOLD;
});
const NONE_WHOLE = new Uint16Array(WHOLE_BELOW.length);

/** The most heap that a message passed over can ask for: it has a field of two bytes at least. */
function smallMessageHeap(byteLength: number): number {
  return MESSAGE_HEAP_BYTES + (byteLength / 2) * FIELD_HEAP_BYTES;
}

/**
 * Walks the ModelProto of `byteLength` bytes that `reader` stands at. Every tag, length and nesting it meets is
 * checked; unknown fields and groups are passed over. Throws a {@link FormatError} with the offset of what is wrong,
 * also when the decoded message would need more heap than {@link HEAP_BYTE_LIMIT} (by a quick walk's rougher
 * estimate: may need).
 */
export function walkModel(
  reader: WireReader,
  byteLength: number,
  visitor: ModelVisitor,
  walkDepth: WalkDepth,
): void {
  const wholeBelow = walkDepth === 'quick' ? WHOLE_BELOW : NONE_WHOLE;
  const types = new Uint8Array(DEPTH_LIMIT + 1);
  const ends = new Float64Array(DEPTH_LIMIT + 1);
  /** For each open message, the merging fields met so far, one bit each. */
  const met = new Int32Array(DEPTH_LIMIT + 1);
  let depth = 0;
  let type = 0;
  let end = byteLength;
  let heap = 0;
  ends[0] = byteLength;
  for (;;) {
    while (reader.byteOffset === end) {
      if (depth === 0) return;
      visitor.leave();
      depth--;
      end = ends[depth] as number;
      type = types[depth] as number;
    }
    reader.prepare();
    const start = reader.byteOffset;
    const tag = reader.readTag();
    const field = tag >>> 3;
    if (field === 0) throw reader.error('ERR_PROTOBUF', 'a field has number 0', start);
    const code =
      field < FIELDS_PER_MESSAGE ? (LAYOUT[type * FIELDS_PER_MESSAGE + field] as number) : 0;
    const content = code & Content.MASK;
    heap += FIELD_HEAP_BYTES;
    if (code > Content.MASK) {
      const bit = 1 << field;
      if (((met[depth] as number) & bit) !== 0) visitor.merge();
      met[depth] = (met[depth] as number) | bit;
    }
    if ((tag & 7) !== WireType.LEN) {
      skipScalar(reader, tag, end, depth, start);
    } else {
      const lengthOffset = reader.byteOffset;
      const length = reader.readLength(end);
      if (content > 0 && content < Content.INT64) {
        if (length < (wholeBelow[content] as number)) {
          heap += smallMessageHeap(length);
          if (heap > HEAP_BYTE_LIMIT) throw heapError(reader, start);
          reader.skip(length, end);
          continue;
        }
        if (depth === DEPTH_LIMIT) throw depthError(reader, start);
        heap += MESSAGE_HEAP_BYTES;
        if (heap > HEAP_BYTE_LIMIT) throw heapError(reader, start);
        visitor.enter(lengthOffset, length);
        depth++;
        type = content - 1;
        end = reader.byteOffset + length;
        types[depth] = type;
        ends[depth] = end;
        met[depth] = 0;
        continue;
      }
      if (content !== 0) {
        const width = content === Content.FLOAT ? 4 : content === Content.DOUBLE ? 8 : 1;
        if (length % width !== 0) {
          throw reader.error(
            'ERR_PROTOBUF',
            `${length} bytes are no list of ${width}-byte numbers`,
            start,
          );
        }
        if (type === TENSOR) {
          const payload = payloadField(content);
          if (payload !== undefined && visitor.payload(payload, lengthOffset, length)) continue;
        }
        heap += length * heapPerByte(content);
      }
      reader.skip(length, end);
    }
    if (heap > HEAP_BYTE_LIMIT) throw heapError(reader, start);
    if (reader.byteOffset > end) {
      throw reader.error('ERR_PROTOBUF', 'a field reaches beyond its message', start);
    }
  }
}

function payloadField(content: number): PayloadField | undefined {
  if (content === Content.RAW) return 'raw_data';
  if (content === Content.FLOAT) return 'float_data';
  return content === Content.DOUBLE ? 'double_data' : undefined;
}

function heapPerByte(content: number): number {
  if (content === Content.RAW) return 0;
  return content === Content.INT64 ? PACKED_INT64_HEAP_BYTES : PACKED_NUMBER_HEAP_BYTES;
}

/** Passes the value of a field that has no length. */
function skipScalar(
  reader: WireReader,
  tag: number,
  end: number,
  depth: number,
  start: number,
): void {
  const wireType = tag & 7;
  if (wireType === WireType.VARINT) reader.skipVarint();
  else if (wireType === WireType.I64) reader.skip(8, end);
  else if (wireType === WireType.I32) reader.skip(4, end);
  else if (wireType === WireType.SGROUP) skipGroup(reader, tag >>> 3, end, depth);
  else if (wireType === WireType.EGROUP) {
    throw reader.error('ERR_PROTOBUF', 'a group ends that did not begin', start);
  } else {
    throw reader.error('ERR_PROTOBUF', `wire type ${wireType} does not exist`, start);
  }
}

/** Passes a group: fields up to the end tag with the group's number. Groups nest within the limit of messages. */
function skipGroup(reader: WireReader, field: number, end: number, depth: number): void {
  const open = [field];
  while (open.length > 0) {
    reader.prepare();
    const start = reader.byteOffset;
    if (start >= end)
      throw reader.error('ERR_PROTOBUF', 'a group does not end in its message', start);
    const tag = reader.readTag();
    const inner = tag >>> 3;
    if (inner === 0) throw reader.error('ERR_PROTOBUF', 'a field has number 0', start);
    if ((tag & 7) === WireType.SGROUP) {
      open.push(inner);
      if (depth + open.length > DEPTH_LIMIT) throw depthError(reader, start);
    } else if ((tag & 7) === WireType.EGROUP) {
      if (open.pop() !== inner) {
        throw reader.error(
          'ERR_PROTOBUF',
          `a group ends as field ${inner}, which is not open`,
          start,
        );
      }
    } else if ((tag & 7) === WireType.LEN) {
      reader.skip(reader.readLength(end), end);
    } else {
      skipScalar(reader, tag, end, depth, start);
    }
  }
}

function depthError(reader: WireReader, byteOffset: number): FormatError {
  return reader.error('ERR_LIMIT', `messages are nested deeper than ${DEPTH_LIMIT}`, byteOffset);
}

function heapError(reader: WireReader, byteOffset: number): FormatError {
  return reader.error(
    'ERR_LIMIT',
    `the model needs more than ${HEAP_BYTE_LIMIT} bytes of memory besides tensor payloads; reading stopped`,
    byteOffset,
  );
}
