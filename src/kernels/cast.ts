/** Rounds floating-point elements to another type; the native kernels give the same bytes. Pure. */

import { floatElements, floatToBfloat16, floatToHalf, patternTable } from './float-types.ts';
import type { CastParameters, FloatTypeCode } from './kernel.ts';

/** What rounding to a type would take from the elements of a tensor. NaN and infinity are not counted. */
export interface CastLoss {
  /** Finite elements that become infinite (or, saturated, the largest number). */
  readonly overflowed: number;
  /** Elements other than zero that become zero. */
  readonly zeroed: number;
  /** Elements that become subnormal numbers, which have fewer digits. */
  readonly subnormal: number;
  /** Largest finite magnitude of the source. */
  readonly peak: number;
}

/**
 * Where a target's range ends, as magnitudes of binary32 (bits without sign): from `overflow` on elements round to
 * infinity, up to `zero` to zero, below `normal` to subnormal numbers. Ties are to even.
 */
interface RangeEnds {
  readonly overflow: number;
  readonly zero: number;
  readonly normal: number;
}

const INFINITY_BITS = 0x7f800000;

const RANGE_ENDS: Readonly<Record<FloatTypeCode, RangeEnds>> = {
  1: { overflow: INFINITY_BITS, zero: 0, normal: 0 },
  // 65520, 2^-25 and 2^-14 - 2^-25
  10: { overflow: 0x477ff000, zero: 0x33000000, normal: 0x387fe000 },
  // Half a step below 2^128, half of 2^-133, and half of that below 2^-126
  16: { overflow: 0x7f7f8000, zero: 0x00008000, normal: 0x007f8000 },
};

/** Bits of the largest finite number of a 16-bit type. */
const LARGEST_BITS = { 10: 0x7bff, 16: 0x7f7f } as const;

/** Bits of each element as binary32; those of a 16-bit NaN are any NaN's. */
function binary32Bits(type: FloatTypeCode, source: Uint8Array): Uint32Array {
  const elements = floatElements(type, source);
  if (elements instanceof Float32Array) {
    return new Uint32Array(elements.buffer, elements.byteOffset, elements.length);
  }
  const table = patternTable(type as 10 | 16);
  const values = Float32Array.from(elements, (pattern) => table[pattern] as number);
  return new Uint32Array(values.buffer);
}

/** Casts the whole elements of `source` into `target`. */
export function castFloats(
  { from, to, saturate }: Pick<CastParameters, 'from' | 'to' | 'saturate'>,
  source: Uint8Array,
  target: Uint8Array,
): void {
  const bits = binary32Bits(from, source);
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  if (to === 1) {
    for (let i = 0; i < bits.length; i++) {
      const pattern = bits[i] as number;
      view.setUint32(i * 4, (pattern & 0x7fffffff) > INFINITY_BITS ? 0x7fc00000 : pattern, true);
    }
    return;
  }
  const encode = to === 10 ? floatToHalf : floatToBfloat16;
  const { overflow } = RANGE_ENDS[to];
  const values = new Float32Array(bits.buffer, bits.byteOffset, bits.length);
  for (let i = 0; i < bits.length; i++) {
    const pattern = bits[i] as number;
    const magnitude = pattern & 0x7fffffff;
    const isBeyond = magnitude >= overflow && magnitude < INFINITY_BITS;
    const rounded =
      saturate && isBeyond
        ? ((pattern >>> 16) & 0x8000) | LARGEST_BITS[to]
        : encode(values[i] as number);
    view.setUint16(i * 2, rounded, true);
  }
}

/** Measures what {@link castFloats} would take from the whole elements of `source`. */
export function measureCast(
  { from, to }: Pick<CastParameters, 'from' | 'to'>,
  source: Uint8Array,
): CastLoss {
  const { overflow, zero, normal } = RANGE_ENDS[to];
  const bits = binary32Bits(from, source);
  let [overflowed, zeroed, subnormal, peak] = [0, 0, 0, 0];
  for (let i = 0; i < bits.length; i++) {
    const magnitude = (bits[i] as number) & 0x7fffffff;
    if (magnitude >= INFINITY_BITS) continue;
    if (magnitude > peak) peak = magnitude;
    if (magnitude >= overflow) overflowed++;
    else if (magnitude > zero && magnitude < normal) subnormal++;
    else if (magnitude !== 0 && magnitude <= zero) zeroed++;
  }
  const value = new DataView(Uint32Array.of(peak).buffer).getFloat32(0, true);
  return { overflowed, zeroed, subnormal, peak: value };
}

/** True when every element of `from` is one of `to`, so that there is nothing to measure. */
export function isExactCast({ from, to }: Pick<CastParameters, 'from' | 'to'>): boolean {
  return from === to || to === 1;
}
