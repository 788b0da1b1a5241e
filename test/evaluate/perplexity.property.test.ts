import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { negativeLogLikelihood } from '../../src/evaluate/perplexity.ts';

const rows = fc
  .array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 40 })
  .map((values) => Float64Array.from(values));

describe('negativeLogLikelihood', () => {
  it('gives probabilities that sum to one', () => {
    fc.assert(
      fc.property(rows, (row) => {
        let sum = 0;
        for (let target = 0; target < row.length; target++) {
          sum += Math.exp(-negativeLogLikelihood(row, target));
        }
        expect(sum).toBeCloseTo(1, 10);
      }),
    );
  });

  it('does not change when all logits move together', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: -1000, max: 1000 }), (row, shift) => {
        const moved = row.map((logit) => logit + shift);
        expect(negativeLogLikelihood(moved, 0)).toBeCloseTo(negativeLogLikelihood(row, 0), 9);
      }),
    );
  });
});
