/** 64-bit integers at the border between protobuf and the rest: never rounded, never silently cut. */

import protobuf from 'protobufjs/minimal.js';
import { FormatError } from '../errors.ts';
import type { onnx } from './onnx.js';

/** What an int64 field holds: a Long when it was decoded, a Long or an exact number when it was set. */
export type Int64 = NonNullable<onnx.IOperatorSetIdProto['version']>;

/**
 * `value` as a number. Absent (null or undefined) is 0, as in protobuf. Throws a FormatError that names `what`
 * when the value does not fit a safe integer.
 */
export function longToNumber(value: Int64 | null | undefined, what: string): number {
  if (value === null || value === undefined) return 0;
  const number = typeof value === 'number' ? value : value.toNumber();
  if (Number.isSafeInteger(number)) return number;
  throw new FormatError('ERR_LIMIT', `${what} is ${value}, which is not within ±(2^53-1)`);
}

/** `value` exactly. Absent (null or undefined) is 0. */
export function longToBigInt(value: Int64 | null | undefined): bigint {
  if (value === null || value === undefined) return 0n;
  return typeof value === 'number' ? BigInt(value) : BigInt(value.toString());
}

/**
 * The value of an int64 field for an integer: a number where it is exact, else a Long. Throws a FormatError that
 * names `what` for a number that is not a safe integer and for a bigint outside the signed 64-bit range.
 */
export function toInt64(value: number | bigint, what: string): Int64 {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value;
    throw new FormatError('ERR_LIMIT', `${what} is ${value}, not an integer within ±(2^53-1)`);
  }
  if (BigInt.asIntN(53, value) === value) return Number(value);
  if (BigInt.asIntN(64, value) !== value) {
    throw new FormatError('ERR_LIMIT', `${what} is ${value}, which does not fit 64 bits`);
  }
  const low = Number(BigInt.asIntN(32, value));
  const high = Number(BigInt.asIntN(32, value >> 32n));
  const { Long } = protobuf.util;
  return new Long(low, high, false) as Int64;
}
