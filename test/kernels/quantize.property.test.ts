import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantize } from '../../src/kernels/dequantize.ts';
import { decodeFloats, encodeFloats, floatByteLength } from '../../src/kernels/float-types.ts';
import { type QuantizeParameters, quantizeOutputs } from '../../src/kernels/kernel.ts';
import { quantizeColumns, quantizeRows } from '../../src/kernels/quantize.ts';
import { formats, oliveFormats, randomNumbers, weightBytes } from './arbitrary-weights.ts';
import { emptyOutputs, quantizeWhole, targetAt, transposed } from './quantized-buffers.ts';

function weightOf({ type, n, k }: QuantizeParameters, seed: number): Uint8Array {
  return weightBytes(type, n * k, seed);
}

/** Formats of every method, Olive's less often. */
function allFormats(maxN: number, maxK: number): fc.Arbitrary<QuantizeParameters> {
  return fc.oneof(
    { weight: 3, arbitrary: formats(maxN, maxK) },
    { weight: 1, arbitrary: oliveFormats(maxN, maxK) },
  );
}

describe('quantize', () => {
  it('makes outputs of the sizes that quantizeOutputs declares', () => {
    fc.assert(
      fc.property(allFormats(5, 600), fc.integer(), (parameters, seed) => {
        const made = quantizeWhole(parameters, weightOf(parameters, seed));
        const parts = [made.codes, made.scales, ...(made.zeroPoints ? [made.zeroPoints] : [])];
        const declared = quantizeOutputs(parameters).map((output) => output.byteLength);
        expect(parts.map((part) => part.length)).toEqual(declared);
        expect(made.nonFinite).toBe(-1);
      }),
    );
  });

  it('gives the same bytes for a weight and its transpose in the other layout', () => {
    fc.assert(
      fc.property(allFormats(9, 600), fc.integer(), (parameters, seed) => {
        const rows = { ...parameters, layout: 'rows' } as const;
        const source = weightOf(parameters, seed);
        const { n, k, type } = parameters;
        const columns = transposed(source, n, k, floatByteLength(type));
        expect(quantizeWhole({ ...parameters, layout: 'columns' }, columns)).toEqual(
          quantizeWhole(rows, source),
        );
      }),
    );
  });

  it('gives the same bytes whatever the tiles', () => {
    const strips = fc.record({
      channels: fc.integer({ min: 1, max: 4 }),
      pairs: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(allFormats(9, 900), fc.integer(), strips, (parameters, seed, tile) => {
        const { n, k, type, blockSize, layout } = parameters;
        const source = weightOf(parameters, seed);
        const elementBytes = floatByteLength(type);
        const target = emptyOutputs(parameters);
        for (let channel = 0; channel < n; channel += tile.channels) {
          const channels = Math.min(tile.channels, n - channel);
          if (layout === 'rows') {
            const bytes = source.subarray(channel * k * elementBytes);
            const part = bytes.subarray(0, channels * k * elementBytes);
            quantizeRows(parameters, part, channels, targetAt(parameters, target, channel, 0));
            continue;
          }
          const stripRows = tile.pairs * Math.max(2, 8 / parameters.bits) * blockSize;
          for (let row = 0; row < k; row += stripRows) {
            const bytes = source.subarray((row * n + channel) * elementBytes);
            const at = targetAt(parameters, target, channel, row / blockSize);
            const rows = Math.min(stripRows, k - row);
            quantizeColumns(parameters, bytes, n * elementBytes, rows, channels, at);
          }
        }
        const whole = quantizeWhole(parameters, source);
        expect(target.codes).toEqual(whole.codes);
        expect(target.scales).toEqual(whole.scales);
        expect(target.zeroPoints).toEqual(whole.zeroPoints);
      }),
    );
  });

  it('comes back within half a step, or one where a symmetric block clips its far end', () => {
    const rtn = formats(4, 300).map((format) => ({ ...format, method: 'rtn' as const }));
    fc.assert(
      fc.property(rtn, fc.integer(), (parameters, seed) => {
        const { n, k, type, bits, blockSize, symmetric } = parameters;
        const random = randomNumbers(seed);
        const source = encodeFloats(
          type,
          Array.from({ length: n * k }, () => random() - 0.4),
        );
        const made = quantizeWhole({ ...parameters, layout: 'rows' }, source);
        const values = decodeFloats(type, source);
        const scales = decodeFloats(type, made.scales);
        const blocks = Math.ceil(k / blockSize);
        // Rounding the scale moves the far end of a block by this many steps.
        const drift = 2 ** bits * { 1: 2 ** -20, 10: 2 ** -11, 16: 2 ** -8 }[type];
        const bound = (symmetric ? 1 : 0.5) + drift;
        const worst = dequantize(parameters, made).reduce((highest, value, index) => {
          const block = Math.floor(index / k) * blocks + Math.floor((index % k) / blockSize);
          const step = Math.abs(scales[block] as number);
          const steps = Math.abs(value - (values[index] as number)) / step;
          return Math.max(highest, steps);
        }, 0);
        expect(worst).toBeLessThanOrEqual(bound);
      }),
    );
  });
});
