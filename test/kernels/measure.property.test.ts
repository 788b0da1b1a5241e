import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExactSum } from '../../src/kernels/exact-sum.ts';
import { floatByteLength } from '../../src/kernels/float-types.ts';
import type { QuantizeParameters } from '../../src/kernels/kernel.ts';
import { ERROR_FIELDS, ErrorSum, unpackError } from '../../src/kernels/measure.ts';
import { codedBlocks, floatBlocks, measureTile } from '../../src/kernels/measure-weight.ts';
import { loadNative } from '../../src/native.ts';
import { formats, randomNumbers, weightBytes } from './arbitrary-weights.ts';
import { emptyOutputs, quantizeWhole } from './quantized-buffers.ts';

const addon = loadNative();
// Without the addon the reference is all there is, and nothing can disagree with it.
const isas = addon?.info().supported ?? [];

interface Parts {
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  readonly zeroPoints: Uint8Array | undefined;
}

function reference(parameters: QuantizeParameters, source: Uint8Array, parts: Parts): Float64Array {
  const { type, bits, blockSize, n, k, layout } = parameters;
  const size = floatByteLength(type);
  const [channelStride, pitch] =
    layout === 'rows' ? ([k * size, size] as const) : ([size, n * size] as const);
  const { codesStride, scalesStride, zeroPointsStride } = emptyOutputs(parameters);
  const sum = new ErrorSum();
  measureTile(
    floatBlocks(type, source, channelStride, pitch),
    codedBlocks({
      ...parts,
      ...{ codesStride, scalesStride, zeroPointsStride },
      ...{ bits, blockSize, scaleType: type },
    }),
    { channels: n, elements: k, blockSize, first: 0, channelStride: k },
    sum,
  );
  return sum.pack();
}

function native(
  isa: string,
  parameters: QuantizeParameters,
  source: Uint8Array,
  { codes, scales, zeroPoints }: Parts,
): Float64Array {
  const errors = new Float64Array(ERROR_FIELDS);
  const points = zeroPoints ?? emptyOutputs({ ...parameters, symmetric: false }).zeroPoints;
  if (points === undefined) throw new Error('no zero points');
  addon?.measureBuffer(isa, parameters, source, codes, scales, points, errors);
  return errors;
}

describe('measuring a weight', () => {
  it('finds the same on every instruction set', () => {
    fc.assert(
      fc.property(formats(80, 900), fc.integer(), (parameters, seed) => {
        const source = weightBytes(parameters.type, parameters.n * parameters.k, seed);
        const parts = quantizeWhole(parameters, source);
        const expected = reference(parameters, source, parts);
        for (const isa of isas) {
          expect(native(isa, parameters, source, parts), isa).toEqual(expected);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('finds the same of codes that have nothing to do with the weight', () => {
    fc.assert(
      fc.property(formats(40, 600), fc.integer(), (parameters, seed) => {
        const { type, n, k } = parameters;
        const source = weightBytes(type, n * k, seed);
        const { codes, scales, zeroPoints } = quantizeWhole(parameters, source);
        const random = randomNumbers(seed + 1);
        for (const bytes of [codes, zeroPoints ?? new Uint8Array(0)]) {
          for (let i = 0; i < bytes.length; i++) bytes[i] = random() * 256;
        }
        scales.set(weightBytes(type, scales.length / floatByteLength(type), seed + 2));
        const parts = { codes, scales, zeroPoints };
        const expected = reference(parameters, source, parts);
        for (const isa of isas) {
          expect(native(isa, parameters, source, parts), isa).toEqual(expected);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('sums what a sum over all elements in binary64 comes to, but for rounding', () => {
    fc.assert(
      fc.property(formats(20, 300), fc.integer(), (format, seed) => {
        const parameters = { ...format, type: 10 as const };
        const { n, k, type, layout } = parameters;
        const source = weightBytes(type, n * k, seed);
        const parts = quantizeWhole(parameters, source);
        const { error, signal, largest } = unpackError(reference(parameters, source, parts));
        const size = floatByteLength(type);
        const [channelStride, pitch] =
          layout === 'rows' ? ([k * size, size] as const) : ([size, n * size] as const);
        const { codesStride, scalesStride, zeroPointsStride } = emptyOutputs(parameters);
        const [x, y] = [new Float32Array(k), new Float32Array(k)];
        let [expectedError, expectedSignal, expectedLargest] = [0, 0, 0];
        for (let channel = 0; channel < n; channel++) {
          floatBlocks(type, source, channelStride, pitch)(channel, 0, k, x);
          codedBlocks({
            ...parts,
            ...{ codesStride, scalesStride, zeroPointsStride },
            ...{ bits: parameters.bits, blockSize: parameters.blockSize, scaleType: type },
          })(channel, 0, k, y);
          for (let i = 0; i < k; i++) {
            const e = (x[i] as number) - (y[i] as number);
            expectedError += e * e;
            expectedSignal += (x[i] as number) ** 2;
            expectedLargest = Math.max(expectedLargest, Math.abs(e));
          }
        }
        expect(Math.abs(error - expectedError)).toBeLessThanOrEqual(1e-5 * expectedError);
        expect(Math.abs(signal - expectedSignal)).toBeLessThanOrEqual(1e-5 * expectedSignal);
        expect(Math.abs(largest.value - expectedLargest)).toBeLessThanOrEqual(
          1e-6 * expectedLargest,
        );
      }),
    );
  });
});

describe('an exact sum', () => {
  /** Squares of binary32 numbers, from the smallest to the largest. */
  const squares = fc
    .tuple(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.boolean())
    .map(([x, single]) => (single ? Math.abs(x) : x * x));

  it('is the sum of its terms, rounded once, in any order and grouping', () => {
    fc.assert(
      fc.property(fc.array(squares, { maxLength: 60 }), fc.nat(), (terms, cut) => {
        let total = 0n;
        for (const term of terms) {
          // Exact: a binary64 number in units of 2^-320.
          const exponent = term === 0 ? 0 : Math.floor(Math.log2(term)) - 60;
          const lower = Math.max(exponent, -320);
          total += BigInt(term * 2 ** -lower) * 2n ** BigInt(lower + 320);
        }
        const expected = Number(total) * 2 ** -320;
        const forward = new ExactSum();
        for (const term of terms) forward.add(term);
        expect(forward.toNumber()).toBe(expected);
        const [front, back] = [new ExactSum(), new ExactSum()];
        const at = cut % (terms.length + 1);
        for (const term of terms.slice(at).reverse()) back.add(term);
        for (const term of terms.slice(0, at)) front.add(term);
        back.addSum(front);
        expect(back.toNumber()).toBe(expected);
      }),
    );
  });
});
