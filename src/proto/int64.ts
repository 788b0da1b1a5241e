/** 64-bit integers at the border between protobuf and the rest: never rounded, never silently cut. */

import { FormatError } from '../errors.ts';

/** What an int64 field holds: a number where that is exact, else a bigint. */
export type Int64 = number | bigint;

/**
 * `value` as a number. Absent (null or undefined) is 0, as in protobuf. Throws a FormatError that names `what`
 * when the value does not fit a safe integer.
 */
export function longToNumber(value: Int64 | null | undefined, what: string): number {
  const number = Number(value ?? 0);
  if (Number.isSafeInteger(number)) return number;
  throw new FormatError('ERR_LIMIT', `${what} is ${value}, which is not within ±(2^53-1)`);
}

/** `value` exactly. Absent (null or undefined) is 0. */
export function longToBigInt(value: Int64 | null | undefined): bigint {
  return BigInt(value ?? 0);
}

/**
 * The value of an int64 field for an integer. Throws a FormatError that names `what` for a number that is not a safe
 * integer and for a bigint outside the signed 64-bit range.
 */
export function toInt64(value: number | bigint, what: string): Int64 {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value;
    throw new FormatError('ERR_LIMIT', `${what} is ${value}, not an integer within ±(2^53-1)`);
  }
  if (BigInt.asIntN(64, value) !== value) {
    throw new FormatError('ERR_LIMIT', `${what} is ${value}, which does not fit 64 bits`);
  }
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
