/** Checked arithmetic on byte counts, and sizes as people write and read them. Pure. */

import { FormatError, UsageError } from './errors.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** Whether `value` can be a size: an integer from 0 to 2^53-1. */
export function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Returns `value` when it is an integer in [0, 2^53), else throws a {@link FormatError} that names `what`. */
export function checkedSize(value: number, what: string): number {
  if (!isSize(value)) {
    throw new FormatError('ERR_LIMIT', `${what} is ${value}, not an integer from 0 to 2^53-1`);
  }
  return value;
}

/** Product of two sizes; throws a {@link FormatError} beyond 2^53-1. */
export function multiplySizes(a: number, b: number, what: string): number {
  return checkedSize(a * b, what);
}

/** Smallest multiple of `alignment` (a positive integer) that is ≥ `value`. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** Integer quotient rounded up. */
export function ceilDiv(a: number, b: number): number {
  return Math.ceil(a / b);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  K: KIB,
  KB: 1000,
  KIB: KIB,
  M: MIB,
  MB: 1e6,
  MIB: MIB,
  G: GIB,
  GB: 1e9,
  GIB: GIB,
  T: 1024 * GIB,
  TB: 1e12,
  TIB: 1024 * GIB,
};

/**
 * Bytes of a size such as `64MiB`, `1.5 GB`, `512k` or `4096`. `K`, `M`, `G`, `T` alone are binary, as in `dd`.
 * Throws a {@link UsageError} for anything else.
 */
export function parseSize(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$/.exec(text);
  const unit = match ? UNITS[match[2]?.toUpperCase() ?? ''] : undefined;
  const bytes = match && unit !== undefined ? Math.round(Number(match[1]) * unit) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new UsageError('ERR_OPTION', `"${text}" is not a size`, {
      hint: 'write a number with a unit, for example 64MiB or 2GB',
    });
  }
  return bytes;
}

/** Human form of a byte count with a binary unit and three significant digits: `7.4 GiB`, `131 MiB`, `312 B`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 ? 0 : Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

type NumberArray =
  | Uint8Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** A copy of `length` numbers, at least as many as there are; zeros follow those of `array`. */
export function withLength<Numbers extends NumberArray>(array: Numbers, length: number): Numbers {
  const longer = new (array.constructor as new (length: number) => Numbers)(length);
  longer.set(array);
  return longer;
}
