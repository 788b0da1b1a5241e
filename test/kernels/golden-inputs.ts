/** The inputs behind test/models/*-goldens.json: the formulas of tools/peers/golden_inputs.py. */

import { encodeFloats } from '../../src/kernels/float-types.ts';
import type { FloatTypeCode } from '../../src/kernels/kernel.ts';

/** A 32-bit integer per element: the multiplicative hash of its index, offset by the seed. */
function hashed(index: number, seed: number): number {
  return Math.imul(index + seed * 1000003 + 1, 2654435761) >>> 0;
}

/** A multiple of 2^-24 in [-0.5, 0.5). */
export function uniform(index: number, seed: number): number {
  return ((hashed(index, seed) >>> 8) - 2 ** 23) / 2 ** 24;
}

const PATTERNS: Readonly<Record<string, (index: number, seed: number) => number>> = {
  uniform,
  positive: (i, s) => uniform(i, s) + 0.75,
  negative: (i, s) => uniform(i, s) - 0.75,
  halves: (i, s) => (hashed(i, s) >>> 27) / 2 - 8,
  quarters: (i, s) => (hashed(i, s) >>> 26) / 4 - 8,
  constant: () => 0.375,
  negativeConstant: () => -0.375,
  zeros: () => 0,
  negativeZeros: () => -0,
  mixedZeros: (i, s) => (hashed(i, s) >>> 31 ? -0 : 0),
  sparse: (i, s) => (hashed(i, s + 1) >>> 28 === 0 ? uniform(i, s) : 0),
  halfSubnormals: (i, s) => ((hashed(i, s) >>> 27) - 16) * 2 ** -24,
  floatSubnormals: (i, s) => ((hashed(i, s) >>> 27) - 16) * 2 ** -149,
  tiny: (i, s) => uniform(i, s) * 2 ** -12,
  verySmall: (i, s) => uniform(i, s) * 2 ** -120,
  large: (i, s) => uniform(i, s) * 2 ** 16,
  huge: (i, s) => uniform(i, s) * 2 ** 127,
  outliers: (i, s) => uniform(i, s) * (hashed(i, s + 1) >>> 26 === 0 ? 64 : 0.0625),
  spread: (i, s) => uniform(i, s) * 2 ** -(hashed(i, s + 1) >>> 28),
};

/** The elements of a [rows, columns] input, in row-major order. */
export function goldenInput(
  pattern: string,
  seed: number,
  rows: number,
  columns: number,
  type: FloatTypeCode,
): Uint8Array {
  const make = PATTERNS[pattern];
  if (make === undefined) throw new RangeError(`no pattern ${pattern}`);
  return encodeFloats(
    type,
    Array.from({ length: rows * columns }, (_, index) => make(index, seed)),
  );
}
