/** Tensors written with their value elsewhere: the message as it is, but for the fields that hold or name the value. */

import { EXTERNAL } from './headers.ts';
import { PAYLOAD_FIELDS, type PayloadField } from './layout.ts';
import { ModelWriter, type TensorPlace } from './model-writer.ts';
import { onnx } from './onnx.ts';
import { LosslessReader } from './reader.ts';
import { isToken } from './token.ts';
import { WireType } from './wire.ts';

const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;
/** Fields of a tensor that may hold a token, by number. */
const VALUE_FIELDS: ReadonlyMap<number, PayloadField> = new Map([
  [PAYLOAD_FIELDS.float_data, 'float_data'],
  [PAYLOAD_FIELDS.raw_data, 'raw_data'],
  [PAYLOAD_FIELDS.double_data, 'double_data'],
]);

/** A field of a serialized tensor. */
interface Field {
  readonly number: number;
  readonly start: number;
  readonly end: number;
}

/** What there is to know of a serialized tensor. */
interface Fields {
  readonly fields: readonly Field[];
  /** Number of the field that a payload was left out of; `raw_data` where none was. */
  readonly holder: number;
  readonly isExternal: boolean;
}

function readFields(bytes: Uint8Array): Fields {
  const reader = new LosslessReader(bytes);
  const fields: Field[] = [];
  let holder: number = PAYLOAD_FIELDS.raw_data;
  let isExternal = false;
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.tag();
    const number = tag >>> 3;
    const field = VALUE_FIELDS.get(number);
    if (tag === DATA_LOCATION * 8) isExternal = reader.int32() === EXTERNAL;
    else if (field !== undefined && (tag & 7) === WireType.LEN) {
      const length = reader.size();
      if (isToken(field, bytes.subarray(reader.pos, reader.pos + length))) holder = number;
      reader.skip(length);
    } else reader.skipType(tag & 7, 0, number);
    fields.push({ number, start, end: reader.pos });
  }
  return { fields, holder, isExternal };
}

function writeReference(writer: ModelWriter, entries: Exclude<TensorPlace, number>): void {
  for (const entry of entries) {
    const message = writer.uint32(EXTERNAL_DATA * 8 + WireType.LEN).fork();
    onnx.StringStringEntryProto.encode(entry, message).ldelim();
  }
  writer.uint32(DATA_LOCATION * 8).int32(EXTERNAL);
}

/** Writes the fields of `tensor`, serialized in `bytes`, with its value at `place`. */
function writePlaced(
  writer: ModelWriter,
  bytes: Uint8Array,
  tensor: onnx.ITensorProto,
  place: TensorPlace,
): void {
  const { fields, holder, isExternal } = readFields(bytes);
  const isPayload = typeof place === 'number';
  const isReference = (number: number) => number === EXTERNAL_DATA || number === DATA_LOCATION;
  const isDropped = (number: number) =>
    isPayload
      ? number === holder || (isExternal && isReference(number))
      : VALUE_FIELDS.has(number) || isReference(number);
  let isWritten = false;
  const writeValue = () => {
    isWritten = true;
    if (!isPayload) return writeReference(writer, place);
    writer.uint32(holder * 8 + WireType.LEN);
    writer.payload(tensor, place);
  };
  for (const { number, start, end } of fields) {
    if (!isWritten && number >= (isPayload ? holder : EXTERNAL_DATA)) writeValue();
    if (!isDropped(number)) writer.raw(bytes.subarray(start, end));
  }
  if (!isWritten) writeValue();
}

const { encode } = onnx.TensorProto;

onnx.TensorProto.encode = (message, writer, depth) => {
  const place = writer instanceof ModelWriter ? writer.places.get(message) : undefined;
  if (!(writer instanceof ModelWriter) || place === undefined) {
    return encode(message, writer, depth);
  }
  writer.placed++;
  const { scratch } = writer;
  scratch.pos = 0;
  writePlaced(writer, encode(message, scratch, depth).finish(true), message, place);
  return writer;
};
