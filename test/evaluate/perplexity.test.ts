import { describe, expect, it } from 'vitest';
import { FormatError, PreconditionError, UsageError } from '../../src/errors.ts';
import type { HostTensor } from '../../src/evaluate/host-tensor.ts';
import {
  evaluateModel,
  negativeLogLikelihood,
  windowLikelihood,
} from '../../src/evaluate/perplexity.ts';

const INFINITY = Number.POSITIVE_INFINITY;

function logits(dims: number[], values: number[]): HostTensor {
  return { type: 'float32', dims, data: Float32Array.from(values) };
}

describe('negativeLogLikelihood', () => {
  it('of equal logits is the log of their number', () => {
    expect(negativeLogLikelihood(new Float32Array(8), 3)).toBeCloseTo(Math.log(8), 14);
  });

  it('of known odds', () => {
    const row = Float64Array.of(Math.log(1), Math.log(2), Math.log(5));
    expect(negativeLogLikelihood(row, 1)).toBeCloseTo(Math.log(8 / 2), 14);
  });

  it('does not overflow', () => {
    expect(negativeLogLikelihood(Float32Array.of(3e38, 0), 0)).toBe(0);
    expect(negativeLogLikelihood(Float32Array.of(-3e38, -3e38), 0)).toBeCloseTo(Math.log(2), 14);
  });

  it('is infinite for an excluded target and NaN for broken logits', () => {
    expect(negativeLogLikelihood(Float32Array.of(-INFINITY, 0), 0)).toBe(INFINITY);
    expect(negativeLogLikelihood(Float32Array.of(Number.NaN, 0), 1)).toBeNaN();
    expect(negativeLogLikelihood(Float32Array.of(INFINITY, 0), 1)).toBeNaN();
    expect(negativeLogLikelihood(Float32Array.of(-INFINITY, -INFINITY), 1)).toBeNaN();
  });
});

describe('windowLikelihood', () => {
  it('scores token i+1 with row i and ignores the last row', () => {
    const [a, b] = [Math.log(3), Math.log(7)];
    const rows = [a, 0, 0, b, 99, -99];
    const expected = Math.log(4 / 3) + Math.log(8 / 7);
    expect(windowLikelihood(logits([1, 3, 2], rows), [1, 0, 1], 'm')).toBeCloseTo(expected, 6);
    expect(windowLikelihood(logits([3, 2], rows), [0, 0, 1], 'm')).toBeCloseTo(expected, 6);
  });

  it('reads fp16 logits', () => {
    const data = Uint16Array.of(0x3c00, 0x4000, 0, 0);
    const nll = windowLikelihood({ type: 'float16', dims: [1, 2, 2], data }, [0, 0], 'm');
    expect(nll).toBeCloseTo(Math.log(1 + Math.E), 12);
  });

  it('refuses logits of the last position only', () => {
    expect(() => windowLikelihood(logits([1, 1, 2], [0, 0]), [0, 1, 1], 'm')).toThrow(
      'm: the model returns logits of the last position only, 2 tokens need scores',
    );
  });

  it('refuses other shapes and types', () => {
    const rows = [0, 0, 0, 0];
    expect(() => windowLikelihood(logits([1, 2, 2], rows), [0, 1, 1], 'm')).toThrow(/do not fit 3/);
    expect(() => windowLikelihood(logits([2, 1, 2], rows), [0], 'm')).toThrow(PreconditionError);
    expect(() => windowLikelihood(logits([4], rows), [0], 'm')).toThrow(PreconditionError);
    const integers: HostTensor = { type: 'int32', dims: [1, 2, 2], data: new Int32Array(4) };
    expect(() => windowLikelihood(integers, [0, 1], 'm')).toThrow(/the logits are int32/);
  });

  it('says where the logits are broken', () => {
    const broken = logits([1, 3, 2], [0, 0, Number.NaN, 0, 0, 0]);
    expect(() => windowLikelihood(broken, [0, 1, 1], 'm, window 4')).toThrow(
      'm, window 4: the logits at position 1 give NaN',
    );
  });

  it('refuses a token outside the vocabulary', () => {
    expect(() => windowLikelihood(logits([1, 2, 2], [0, 0, 0, 0]), [0, 2], 'm')).toThrow(
      FormatError,
    );
  });
});

describe('evaluateModel refuses before opening the model', () => {
  const tokens = new Int32Array(10);

  it.each([
    [{ tokens, windowTokens: 1 }, /windowTokens is 1/],
    [{ tokens, windowTokens: 2.5 }, /windowTokens is 2.5/],
    [{ tokens, maxWindows: 0 }, /maxWindows is 0/],
    [{ tokens }, /tokens: 10 tokens, less than one window of 256/],
    [{}, /either tokens or tokensPath/],
    [{ tokens, tokensPath: 'x.json' }, /either tokens or tokensPath/],
  ])('%o', async (options, message) => {
    const run = evaluateModel('/nowhere/model.onnx', options);
    await expect(run).rejects.toThrow(UsageError);
    await expect(run).rejects.toThrow(message);
  });
});
