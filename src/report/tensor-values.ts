/** Which fields of a TensorProto hold a value, and how much of one. Pure. */

import { type DTypeCode, dtypeInfo } from '../dtypes.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Payload } from '../proto/skeleton.ts';

/** Fields for the values of certain types; `rawData` is for all but strings. */
const TYPED_FIELDS = [
  'floatData',
  'int32Data',
  'stringData',
  'int64Data',
  'doubleData',
  'uint64Data',
] as const;

export type TypedField = (typeof TYPED_FIELDS)[number];

/** A field that holds something: bytes of `rawData`, entries of the others. */
export interface FilledField {
  readonly field: 'rawData' | TypedField;
  readonly count: number;
}

/** A field's name in ONNX: `rawData` is `raw_data`. */
export function onnxName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Bytes of an entry in a field that is left in the file when it is large. */
const LEFT_OUT = {
  raw_data: { field: 'rawData', entryBytes: 1 },
  float_data: { field: 'floatData', entryBytes: 4 },
  double_data: { field: 'doubleData', entryBytes: 8 },
} as const;

/**
 * The fields of a decoded tensor that hold something. An empty `raw_data` that is there counts: readers look no
 * further.
 * @param payload what of the tensor is still in the file
 */
export function filledFields(
  tensor: onnx.ITensorProto,
  payload: Payload | undefined,
): FilledField[] {
  const leftOut = payload && LEFT_OUT[payload.field];
  const filled: FilledField[] = [];
  const add = (field: FilledField['field'], count: number) => {
    const isLeftOut = payload !== undefined && leftOut?.field === field;
    filled.push({ field, count: isLeftOut ? payload.byteLength / leftOut.entryBytes : count });
  };
  if (Object.hasOwn(tensor, 'rawData') && tensor.rawData) {
    add('rawData', tensor.rawData.byteLength);
  }
  for (const field of TYPED_FIELDS) {
    const count = tensor[field]?.length ?? 0;
    if (count > 0) add(field, count);
  }
  return filled;
}

/** By name of the type; all others are in `int32_data`. */
const FIELD_BY_TYPE: Readonly<Record<string, TypedField>> = {
  FLOAT: 'floatData',
  COMPLEX64: 'floatData',
  DOUBLE: 'doubleData',
  COMPLEX128: 'doubleData',
  INT64: 'int64Data',
  UINT32: 'uint64Data',
  UINT64: 'uint64Data',
  STRING: 'stringData',
};

/** Where the values of a known type are when they are not in `raw_data`; undefined for types of the future. */
export function typedFieldOf(dtype: DTypeCode): TypedField | undefined {
  const info = dtypeInfo(dtype);
  return info && (FIELD_BY_TYPE[info.name] ?? 'int32Data');
}

/** Entries that `elements` values of a type take in its field. */
export function entryCount(dtype: DTypeCode, elements: number): number {
  const { name = '', bits = 0 } = dtypeInfo(dtype) ?? {};
  if (name.startsWith('COMPLEX')) return 2 * elements;
  // Two values of 4 bits or four of 2 are one entry; one of 6 bits is one.
  return bits === 4 || bits === 2 ? Math.ceil((elements * bits) / 8) : elements;
}
