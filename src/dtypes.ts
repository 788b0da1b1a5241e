/** The one table of ONNX element types (TensorProto.DataType of IR version 14). Pure. */

import { checkedSize, isSize } from './bytes.ts';

/** Number of an ONNX element type. An open set: newer files may carry numbers this table does not know. */
export type DTypeCode = number;

/** Facts about one element type. `bits` is the packed width; 0 means "not fixed" (strings). */
export interface DTypeInfo {
  readonly code: DTypeCode;
  /** Name in the ONNX enum, for example `FLOAT16`. */
  readonly name: string;
  /** Short name used in tables and options, for example `fp16`. */
  readonly label: string;
  readonly bits: number;
}

function info(code: number, name: string, label: string, bits: number): DTypeInfo {
  return { code, name, label, bits };
}

/** Element types in the order of their numbers. Widths: onnx.proto3 of ONNX 1.23, comments at TensorProto.raw_data. */
export const DTYPES: readonly DTypeInfo[] = [
  info(1, 'FLOAT', 'fp32', 32),
  info(2, 'UINT8', 'uint8', 8),
  info(3, 'INT8', 'int8', 8),
  info(4, 'UINT16', 'uint16', 16),
  info(5, 'INT16', 'int16', 16),
  info(6, 'INT32', 'int32', 32),
  info(7, 'INT64', 'int64', 64),
  info(8, 'STRING', 'string', 0),
  info(9, 'BOOL', 'bool', 8),
  info(10, 'FLOAT16', 'fp16', 16),
  info(11, 'DOUBLE', 'fp64', 64),
  info(12, 'UINT32', 'uint32', 32),
  info(13, 'UINT64', 'uint64', 64),
  info(14, 'COMPLEX64', 'complex64', 64),
  info(15, 'COMPLEX128', 'complex128', 128),
  info(16, 'BFLOAT16', 'bf16', 16),
  info(17, 'FLOAT8E4M3FN', 'fp8e4m3fn', 8),
  info(18, 'FLOAT8E4M3FNUZ', 'fp8e4m3fnuz', 8),
  info(19, 'FLOAT8E5M2', 'fp8e5m2', 8),
  info(20, 'FLOAT8E5M2FNUZ', 'fp8e5m2fnuz', 8),
  info(21, 'UINT4', 'uint4', 4),
  info(22, 'INT4', 'int4', 4),
  info(23, 'FLOAT4E2M1', 'fp4e2m1', 4),
  info(24, 'FLOAT8E8M0', 'fp8e8m0', 8),
  info(25, 'UINT2', 'uint2', 2),
  info(26, 'INT2', 'int2', 2),
  info(27, 'FLOAT6E2M3', 'fp6e2m3', 6),
  info(28, 'FLOAT6E3M2', 'fp6e3m2', 6),
];

const byCode = new Map(DTYPES.map((type) => [type.code, type]));

/** The types this project computes with. */
export const DType = {
  FLOAT: 1,
  UINT8: 2,
  INT8: 3,
  INT32: 6,
  INT64: 7,
  STRING: 8,
  BOOL: 9,
  FLOAT16: 10,
  DOUBLE: 11,
  BFLOAT16: 16,
  UINT4: 21,
  INT4: 22,
  UINT2: 25,
  INT2: 26,
} as const;

/** Facts about `code`, or undefined for a type newer than this table. */
export function dtypeInfo(code: DTypeCode): DTypeInfo | undefined {
  return byCode.get(code);
}

/** Short name of a type: `fp16`, or `dtype 31` for one this table does not know. */
export function dtypeLabel(code: DTypeCode): string {
  return byCode.get(code)?.label ?? `dtype ${code}`;
}

/** Number of elements of a shape. Throws a FormatError for negative dimensions or a product beyond 2^53-1. */
export function elementCount(dims: readonly number[], what: string): number {
  let count = 1;
  let zero = false;
  for (const dim of dims) {
    // Messages are worded only for what goes wrong: this runs for every tensor of a model.
    if (!isSize(dim)) checkedSize(dim, `a dimension of ${what}`);
    if (dim === 0) zero = true;
    else count *= dim;
    if (!isSize(count)) checkedSize(count, `the element count of ${what}`);
  }
  return zero ? 0 : count;
}

/**
 * Bytes that a dense tensor of this type and shape takes in `raw_data` or external data, or undefined when the
 * type has no fixed width (strings) or is newer than this table. Sub-byte types are packed over the flattened
 * tensor and rounded up to a byte.
 */
export function denseByteLength(
  code: DTypeCode,
  dims: readonly number[],
  what: string,
): number | undefined {
  const count = elementCount(dims, what);
  const bits = byCode.get(code)?.bits;
  if (bits === undefined || bits === 0) return undefined;
  const wholeBytes = bits >= 8 ? count * (bits / 8) : Math.ceil((count * bits) / 8);
  return isSize(wholeBytes) ? wholeBytes : checkedSize(wholeBytes, `the byte length of ${what}`);
}
