/** Random weights and formats for the properties of the quantizers. */

import fc from 'fast-check';
import { encodeFloats } from '../../src/kernels/float-types.ts';
import {
  type FloatTypeCode,
  OLIVE_METHODS,
  type QuantizeMethod,
  type QuantizeParameters,
} from '../../src/kernels/kernel.ts';

/** Formats with up to `maxN` channels and `maxK` elements, tails included. */
export function formats(maxN: number, maxK: number): fc.Arbitrary<QuantizeParameters> {
  return fc.record({
    method: fc.constantFrom<QuantizeMethod>('rtn', 'search', 'k-quant'),
    type: fc.constantFrom<FloatTypeCode>(1, 10, 16),
    bits: fc.constantFrom(2 as const, 4 as const, 8 as const),
    blockSize: fc.constantFrom(16 as const, 32 as const, 64 as const, 128 as const, 256 as const),
    symmetric: fc.boolean(),
    layout: fc.constantFrom('rows' as const, 'columns' as const),
    n: fc.integer({ min: 1, max: maxN }),
    k: fc.integer({ min: 1, max: maxK }),
  });
}

/** The same with one of Olive's methods. */
export function oliveFormats(maxN: number, maxK: number): fc.Arbitrary<QuantizeParameters> {
  return fc
    .tuple(formats(maxN, maxK), fc.constantFrom(...OLIVE_METHODS), fc.boolean())
    .map(([format, method, isWide]) => ({
      ...format,
      method,
      bits: isWide || method === 'olive-int8' ? 8 : 4,
      symmetric: format.symmetric && (method === 'olive-rtn' || method === 'olive-gather'),
    }));
}

/** Deterministic pseudo-random numbers in [0, 1): cheap enough for every element of a weight. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

function subnormalUnit(type: FloatTypeCode): number {
  return type === 10 ? 2 ** -24 : type === 16 ? 2 ** -133 : 2 ** -149;
}

/** The largest number of a type that can be quantized. */
function largest(type: FloatTypeCode): number {
  return type === 10 ? 65504 : type === 16 ? (2 - 2 ** -7) * 2 ** 126 : (2 - 2 ** -23) * 2 ** 126;
}

const KINDS = ['normal', 'spread', 'tiny', 'zeros', 'halves', 'oneSign', 'same', 'huge'] as const;

/** Elements in runs of 16 of one kind each, so that blocks meet zeros, ties, one sign, subnormals and the extremes. */
export function weightBytes(type: FloatTypeCode, count: number, seed: number): Uint8Array {
  const random = randomNumbers(seed);
  const values = new Float64Array(count);
  let kind: (typeof KINDS)[number] = 'normal';
  for (let i = 0; i < count; i++) {
    if (i % 16 === 0 && random() < 0.5) {
      kind = KINDS[Math.floor(random() * KINDS.length)] ?? 'normal';
    }
    const x = random() * 2 - 1;
    values[i] = {
      normal: x * 0.05,
      spread: x * 2 ** -Math.floor(random() * 20),
      tiny: Math.round(x * 20) * subnormalUnit(type),
      zeros: x < 0 ? -0 : 0,
      halves: Math.round(x * 16) / 2,
      oneSign: Math.abs(x) + 0.125,
      same: -0.375,
      huge: x * largest(type),
    }[kind];
  }
  return encodeFloats(type, values);
}
