import { describe, expect, it } from 'vitest';
import { dequantize } from '../../src/kernels/dequantize.ts';
import { decodeFloats, encodeFloats } from '../../src/kernels/float-types.ts';
import type { QuantizeMethod, QuantizeParameters } from '../../src/kernels/kernel.ts';
import { randomNumbers } from './arbitrary-weights.ts';
import { quantizeWhole } from './quantized-buffers.ts';

const ROWS = 400;

type Draw = (random: () => number) => number;

const normal: Draw = (random) =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const laplace: Draw = (random) => {
  const u = random() - 0.5;
  return -Math.sign(u) * Math.log(1 - 2 * Math.abs(u));
};
/** Five degrees of freedom. */
const student: Draw = (random) => {
  let squares = 0;
  for (let i = 0; i < 5; i++) squares += normal(random) ** 2;
  return normal(random) / Math.sqrt(squares / 5);
};
const DRAWS = { normal, laplace, 'Student-t': student };

function weights(draw: Draw, k: number): Uint8Array {
  const random = randomNumbers(11);
  return encodeFloats(
    10,
    Array.from({ length: ROWS * k }, () => 0.02 * draw(random)),
  );
}

/** Mean squared error, each element weighted by rms + |x| of its block where asked for. */
function error(
  parameters: Partial<QuantizeParameters> & { readonly method: QuantizeMethod },
  source: Uint8Array,
  isWeighted: boolean,
): number {
  const base = { type: 10, bits: 4, blockSize: 32, symmetric: false, layout: 'rows' } as const;
  const whole = { ...base, n: ROWS, k: 128, ...parameters };
  const values = decodeFloats(10, source);
  const made = dequantize(whole, quantizeWhole(whole, source));
  const { blockSize } = whole;
  let sum = 0;
  for (let first = 0; first < values.length; first += blockSize) {
    const block = values.subarray(first, first + blockSize);
    const rms = Math.sqrt(block.reduce((squares, x) => squares + x * x, 0) / blockSize);
    block.forEach((x, i) => {
      sum += (isWeighted ? rms + Math.abs(x) : 1) * ((made[first + i] as number) - x) ** 2;
    });
  }
  return sum / values.length;
}

describe.each(Object.entries(DRAWS))('a search on %s weights', (_, draw) => {
  const source = weights(draw, 128);

  it.each([
    // Measured on these weights: 0.90 to 0.93, 0.68 to 0.73, 0.83 to 0.86, and less for symmetric blocks.
    [4, false, 0.93],
    [2, false, 0.75],
    [8, false, 0.88],
    [4, true, 0.93],
    [2, true, 0.88],
    [8, true, 0.92],
  ] as const)(
    'makes less error than the extremes at %i bits, symmetric %s',
    (bits, symmetric, bar) => {
      const of = (method: QuantizeMethod) => error({ method, bits, symmetric }, source, false);
      expect(of('search') / of('rtn')).toBeLessThan(bar);
    },
  );

  it('makes the least weighted error when it is weighted', () => {
    const of = (method: QuantizeMethod) => error({ method }, source, true);
    expect(of('k-quant')).toBeLessThan(0.995 * of('search'));
    expect(of('search')).toBeLessThan(0.95 * of('rtn'));
  });
});

describe('a search', () => {
  const one = (values: readonly number[], more: Partial<QuantizeParameters> = {}) => {
    const k = values.length;
    const base = { method: 'search', type: 1, bits: 4, blockSize: 32, symmetric: false } as const;
    const parameters = { ...base, layout: 'rows' as const, n: 1, k, ...more };
    const source = encodeFloats(parameters.type, values);
    return dequantize(parameters, quantizeWhole(parameters, source));
  };

  it.each([
    ['zeros', new Array(32).fill(0)],
    ['one value', new Array(32).fill(0.3)],
    ['one negative value', new Array(32).fill(-5)],
    ['steps of one size', Array.from({ length: 32 }, (_, i) => (i % 16) - 5)],
    ['a short last block', Array.from({ length: 19 }, (_, i) => ((i % 16) - 9) / 8)],
  ])('reproduces %s', (_, values) => {
    const made = one(values);
    for (const [i, value] of values.entries()) expect(made[i]).toBeCloseTo(value, 3);
  });

  it('reproduces steps of one size exactly where scales are fp16, which rounds what the units left open', () => {
    const values = Array.from({ length: 32 }, (_, i) => ((i % 16) - 5) / 16);
    expect([...one(values, { type: 10 })]).toEqual(values);
  });

  it('keeps the scale of the extremes for ranges whose inverse is no binary32 number', () => {
    for (const unit of [2 ** -140, 2 ** 120]) {
      const values = Array.from({ length: 32 }, (_, i) => unit * ((i % 16) - 5));
      const exact = one(values, { method: 'rtn' });
      expect(one(values)).toEqual(exact);
    }
  });

  it('lets an outlier clip where that is better', () => {
    const random = randomNumbers(3);
    const values = Array.from({ length: 32 }, () => random() - 0.5);
    values[7] = 0.62;
    const errorOf = (made: Float32Array) =>
      values.reduce((sum, x, i) => sum + (x - (made[i] as number)) ** 2, 0);
    expect(errorOf(one(values))).toBeLessThan(errorOf(one(values, { method: 'rtn' })));
  });
});
