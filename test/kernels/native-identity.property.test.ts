import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FloatTypeCode, QuantizeParameters } from '../../src/kernels/kernel.ts';
import { loadNative } from '../../src/native.ts';
import { formats, oliveFormats, randomNumbers, weightBytes } from './arbitrary-weights.ts';
import { emptyOutputs, type Quantized, quantizeWhole } from './quantized-buffers.ts';

const addon = loadNative();
// Without the addon the references are all there is, and nothing can disagree with them.
const isas = addon?.info().supported ?? [];

/** Quantizes with the addon; what it reports, and which outputs differ from `expected`. */
function differences(
  isa: string,
  parameters: QuantizeParameters,
  source: Uint8Array,
  expected: Quantized,
): { nonFinite: number | undefined; parts: string[] } {
  const made = emptyOutputs({ ...parameters, symmetric: false });
  const zeroPoints = made.zeroPoints ?? new Uint8Array(0);
  const nonFinite = addon?.quantizeBuffer(
    isa,
    parameters,
    source,
    made.codes,
    made.scales,
    zeroPoints,
  );
  const pairs = [
    ['codes', made.codes, expected.codes],
    ['scales', made.scales, expected.scales],
    ['zeroPoints', zeroPoints, expected.zeroPoints ?? zeroPoints],
  ] as const;
  const parts = pairs.filter(([, a, b]) => Buffer.compare(a, b) !== 0).map(([name]) => name);
  return { nonFinite, parts };
}

/** Every bit pattern that can be quantized is as likely as any other. */
function anyBits(type: FloatTypeCode, count: number, seed: number): Uint8Array {
  const random = randomNumbers(seed);
  if (type === 1) {
    const patterns = Uint32Array.from({ length: count }, () => random() * 2 ** 32);
    for (const [index, pattern] of patterns.entries()) {
      if ((pattern & 0x7f800000) >= 0x7f000000) patterns[index] = pattern ^ 0x40000000;
    }
    return new Uint8Array(patterns.buffer);
  }
  const [exponent, limit] = type === 10 ? [0x7c00, 0x7c00] : [0x7f80, 0x7f00];
  const patterns = Uint16Array.from({ length: count }, () => random() * 2 ** 16);
  for (const [index, pattern] of patterns.entries()) {
    if ((pattern & exponent) >= limit) patterns[index] = pattern ^ 0x4000;
  }
  return new Uint8Array(patterns.buffer);
}

/** NaN and infinity; of fp32 and bf16 also what a difference of two might not fit binary32. */
const NON_FINITE: Readonly<Record<FloatTypeCode, readonly number[]>> = {
  1: [0x7f800000, 0xff000000, 0x7fc00000, 0xff800001],
  10: [0x7c00, 0xfc00, 0x7e00, 0xfc01],
  16: [0x7f80, 0xff00, 0x7fc0, 0xff81],
};

describe('the native quantizers', () => {
  it('exist for any processor', () => {
    if (addon !== undefined) expect(isas).toContain('plain');
  });

  it.each([
    ['every instruction set', formats(80, 900), 300],
    ['Olive’s methods', oliveFormats(20, 700), 150],
  ] as const)('give the bytes of the reference: %s', (_, arbitrary, numRuns) => {
    fc.assert(
      fc.property(arbitrary, fc.integer(), fc.boolean(), (parameters, seed, bits) => {
        const count = parameters.n * parameters.k;
        const source = (bits ? anyBits : weightBytes)(parameters.type, count, seed);
        const expected = quantizeWhole(parameters, source);
        for (const isa of isas) {
          const found = differences(isa, parameters, source, expected);
          expect(found, isa).toEqual({ nonFinite: -1, parts: [] });
        }
      }),
      { numRuns },
    );
  });

  it('find the first element that is not finite, wherever it is', () => {
    const place = fc.tuple(fc.nat(), fc.nat(), fc.nat({ max: 3 }));
    const arbitrary = fc.oneof(formats(40, 300), oliveFormats(20, 200));
    fc.assert(
      fc.property(arbitrary, fc.integer(), place, (parameters, seed, [one, other, kind]) => {
        const { type, n, k } = parameters;
        const source = weightBytes(type, n * k, seed);
        const view = new DataView(source.buffer);
        for (const index of [one % (n * k), other % (n * k)]) {
          const pattern = NON_FINITE[type][kind] as number;
          if (type === 1) view.setUint32(index * 4, pattern, true);
          else view.setUint16(index * 2, pattern, true);
        }
        const first = Math.min(one % (n * k), other % (n * k));
        const expected = quantizeWhole(parameters, source);
        expect(expected.nonFinite).toBe(first);
        for (const isa of isas) {
          expect(differences(isa, parameters, source, expected).nonFinite, isa).toBe(first);
        }
      }),
    );
  });
});
