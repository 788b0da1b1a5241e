/**
 * When the codes of 16-bit floats may be computed without rounding to binary32. Pure.
 *
 * ONNX Runtime's code of x is floor(round(round(x * r) + z) + 1/2): r is the inverse of the scale s, z the zero point,
 * and what is rounded, r too, is rounded to binary32. In JavaScript these roundings cost more than all else. In binary64
 * floor(x * r + z + 1/2 + 2^-14) needs none, and is the same where
 *
 * - s is normal, r too. x / s is a quotient of numbers of at most 11 bits: between the codes it is half an odd number h,
 *   or 2^-13 or more away from that. The roundings move it by 2^-15 at most, so that only ties, x = s * h / 2, can
 *   differ. The second formula rounds them up.
 * - z >= 2^(t + 1), where t zero bits end the significand of s. Of a tie, x has no more bits than s has: |h| < 2^(t + 1).
 *   Then z + h / 2 > 2^t, while x * r, rounded, is within a unit in the last place of h / 2, which is at most half of one
 *   of a number above 2^t: the sum is rounded to z + h / 2, whose last bits are zeros, and the first formula, too, rounds
 *   the tie up.
 *
 * Of blocks of 4 bits that is seven in eight with a zero point from 8 on and three in four from 4 on, of 8 bits nearly
 * all.
 */

import type { HalfLayout } from './half-layout.ts';

/** What is added to x * r + z before it is cut to an integer. */
export const DIRECT_ROUNDING = 0.5 + 2 ** -14;

/**
 * True when the direct formula gives the codes of any block with these parameters.
 * @param scale bit pattern
 */
export function encodesDirectly(layout: HalfLayout, scale: number, zeroPoint: number): boolean {
  const exponent = scale & layout.exponent;
  if (exponent === 0 || exponent > layout.largestExponent || zeroPoint < 2) return false;
  const leading = 31 - Math.clz32(zeroPoint);
  return (scale & ((1 << leading) - 1)) !== 0;
}
