import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { QuantizeTarget } from '../../src/kernels/block-quantizer.ts';
import type { FloatTypeCode, QuantizeParameters } from '../../src/kernels/kernel.ts';
import { loadNative } from '../../src/native.ts';
import type { QuantizeKernels } from '../../src/stream/quantize-kernels.ts';
import { wasmKernels } from '../../src/stream/wasm-kernels.ts';
import { formats, oliveFormats, randomNumbers, weightBytes } from './arbitrary-weights.ts';
import { emptyOutputs, type Quantized, quantizeWhole } from './quantized-buffers.ts';

const addon = loadNative();
/** What quantizes a whole weight; gives the first element that cannot be. */
type Quantizer = (
  parameters: QuantizeParameters,
  source: Uint8Array,
  made: QuantizeTarget,
) => number;

const NONE = new Uint8Array(0);

/** In a memory of 4 MiB. Nothing in it is aligned: tiles of odd numbers of elements are not, either. */
function wasmQuantizer(kernels: QuantizeKernels): Quantizer {
  return (parameters, source, made) => {
    const { codes, scales, zeroPoints } = made;
    const memory = kernels.allocate(2 ** 22);
    let end = 0;
    const [input = NONE, ...results] = [source, codes, scales, zeroPoints ?? NONE].map((bytes) => {
      const start = end + 1;
      end = start + bytes.length;
      memory.set(bytes, start);
      return memory.subarray(start, end);
    });
    const [madeCodes = NONE, madeScales = NONE, madeZeroPoints = NONE] = results;
    const { n, k, symmetric } = parameters;
    const hit = kernels.quantize({
      ...{ parameters, source: input, strideBytes: source.length / k, channels: n, elements: k },
      target: {
        ...made,
        codes: madeCodes,
        scales: madeScales,
        zeroPoints: symmetric ? undefined : madeZeroPoints,
      },
    });
    codes.set(madeCodes);
    scales.set(madeScales);
    zeroPoints?.set(madeZeroPoints);
    return hit;
  };
}

/** By name: the instruction sets of the addon, where there is one, and WebAssembly. */
const quantizers = new Map<string, Quantizer>(
  addon
    ?.info()
    .supported.map((isa) => [
      isa,
      (parameters, source, { codes, scales, zeroPoints = NONE }) =>
        addon.quantizeBuffer(isa, parameters, source, codes, scales, zeroPoints),
    ]),
);
const wasm = wasmKernels(2 ** 22);
if (wasm !== undefined) quantizers.set('wasm', wasmQuantizer(wasm));

/** Quantizes a weight; what is reported, and which outputs differ from `expected`. */
function differences(
  quantize: Quantizer,
  parameters: QuantizeParameters,
  source: Uint8Array,
  expected: Quantized,
): { nonFinite: number; parts: string[] } {
  const made = emptyOutputs({ ...parameters, symmetric: false });
  const nonFinite = quantize(parameters, source, made);
  const pairs = [
    ['codes', made.codes, expected.codes],
    ['scales', made.scales, expected.scales],
    ['zeroPoints', made.zeroPoints, expected.zeroPoints ?? made.zeroPoints],
  ] as const;
  const parts = pairs
    .filter(([, a, b]) => Buffer.compare(a ?? NONE, b ?? NONE) !== 0)
    .map(([name]) => name);
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

describe('the compiled quantizers', () => {
  it('exist for any processor', () => {
    expect([...quantizers.keys()]).toContain('wasm');
    if (addon !== undefined) expect([...quantizers.keys()]).toContain('plain');
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
        for (const [name, quantize] of quantizers) {
          const found = differences(quantize, parameters, source, expected);
          expect(found, name).toEqual({ nonFinite: -1, parts: [] });
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
        for (const [name, quantize] of quantizers) {
          expect(differences(quantize, parameters, source, expected).nonFinite, name).toBe(first);
        }
      }),
    );
  });
});
