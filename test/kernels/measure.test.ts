import { describe, expect, it } from 'vitest';
import { ErrorSum, unpackError } from '../../src/kernels/measure.ts';
import { weightError } from '../../src/stream/weight-error.ts';

/** Measures blocks of four elements, one after another. */
function measure(exact: readonly number[], found: readonly number[]) {
  const sum = new ErrorSum();
  for (let i = 0; i < exact.length; i += 4) {
    const of = (list: readonly number[]) => Float32Array.from(list.slice(i, i + 4));
    sum.addBlock(of(exact), of(found), 4, i);
  }
  return weightError(unpackError(sum.pack()), exact.length, 4);
}

describe('measuring', () => {
  it('finds sums, the largest error and the worst block', () => {
    const error = measure([1, 2, 3, 4, 1, 0, 0, 0], [1, 2, 3, 6, 1, 1, 0, 0]);
    expect(error).toMatchObject({ signal: 31, error: 5, relativeMse: 5 / 31, nonFinite: 0 });
    expect(error.snrDb).toBeCloseTo(7.924, 3);
    expect(error.maxError).toEqual({ value: 2, channel: 0, element: 3 });
    expect(error.worstBlock).toEqual({ relativeMse: 1, channel: 1, element: 0 });
  });

  it('says nothing of places where there is no error', () => {
    const error = measure([1, 0, 0, 0], [1, 0, 0, 0]);
    expect(error).toMatchObject({ relativeMse: 0, snrDb: undefined, worstBlock: undefined });
    expect(error.maxError).toEqual({ value: 0, channel: undefined, element: undefined });
  });

  it('has no ratio where nothing became something', () => {
    const error = measure([0, 0, 0, 0], [0, 1, 0, 0]);
    expect(error).toMatchObject({ relativeMse: undefined, snrDb: undefined });
    expect(error.worstBlock).toEqual({ relativeMse: undefined, channel: 0, element: 0 });
  });

  it('names the first of equal errors', () => {
    const error = measure([1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 0, 1, 0, 1, 1, 0]);
    expect(error.maxError).toEqual({ value: 1, channel: 0, element: 1 });
    expect(error.worstBlock).toMatchObject({ channel: 0 });
  });

  it('loses neither what overflows nor what vanishes in binary32', () => {
    const huge = measure([3e38, 0, 0, 0], [-3e38, 0, 0, 0]);
    expect(huge.relativeMse).toBeCloseTo(4, 5);
    expect(huge.maxError.value).toBeCloseTo(6e38, -34);
    const tiny = measure([2 ** -140, 0, 0, 0], [2 ** -141, 0, 0, 0]);
    expect(tiny).toMatchObject({ signal: 2 ** -280, error: 2 ** -282, relativeMse: 0.25 });
  });

  it('leaves numbers out that are not finite, and counts those that differ', () => {
    const error = measure([NaN, Infinity, 1, 2], [NaN, 3, -Infinity, 2]);
    expect(error).toMatchObject({ signal: 4, error: 0, nonFinite: 2 });
    expect(measure([Infinity, 1, 0, 0], [Infinity, 1, 0, 0]).nonFinite).toBe(0);
  });
});
