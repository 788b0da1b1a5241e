import { describe, expect, it } from 'vitest';
import { FormatError, PreconditionError } from '../../src/errors.ts';
import { asNumbers, filled, zeros } from '../../src/evaluate/host-tensor.ts';

describe('filled', () => {
  it('stores integers in the declared type', () => {
    expect(filled('x', 'int64', [1, 3], (i) => i).data).toEqual(BigInt64Array.of(0n, 1n, 2n));
    expect(filled('x', 'int32', [3], (i) => i * 2).data).toEqual(Int32Array.of(0, 2, 4));
    expect(filled('x', 'float32', [2], () => 1).data).toEqual(Float32Array.of(1, 1));
    expect(filled('x', 'bool', [], () => 1).data).toEqual(Uint8Array.of(1));
  });

  it('writes fp16 as bit patterns and refuses numbers a feed does not need', () => {
    const values = [0, 1, -65504];
    const tensor = filled('mask', 'float16', [3], (i) => values[i] as number);
    expect(tensor.data).toEqual(Uint16Array.of(0x0000, 0x3c00, 0xfbff));
    expect([...asNumbers(tensor)]).toEqual(values);
    expect(() => filled('mask', 'float16', [1], () => 7)).toThrow(/input "mask" cannot hold 7/);
  });

  it('refuses types, sizes and dimensions that no feed has', () => {
    expect(() => zeros('s', 'string', [1])).toThrow(PreconditionError);
    expect(() => zeros('s', 'float32', [2 ** 20, 2 ** 20])).toThrow(/input "s" has shape/);
    expect(() => zeros('s', 'float32', [2 ** 30, 2 ** 30])).toThrow(FormatError);
    expect(() => zeros('s', 'float32', [-1])).toThrow(FormatError);
  });

  it('makes tensors without elements', () => {
    expect(zeros('kv', 'float16', [1, 2, 0, 64]).data).toHaveLength(0);
  });
});

describe('asNumbers', () => {
  it('widens fp16 exactly', () => {
    const patterns = [0x3c00, 0x0001, 0x7bff, 0x8000, 0x3555, 0xfc00, 0x7e00, 0x03ff];
    const values = asNumbers({ type: 'float16', dims: [8], data: Uint16Array.from(patterns) });
    const expected = [
      1,
      2 ** -24,
      65504,
      -0,
      0.333251953125,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      1023 * 2 ** -24,
    ];
    expect([...values]).toEqual(expected);
  });

  it('takes a range, and turns 64-bit integers into numbers', () => {
    const data = BigInt64Array.of(5n, -6n, 7n);
    expect([...asNumbers({ type: 'int64', dims: [3], data }, 1, 3)]).toEqual([-6, 7]);
  });

  it('does not read uint16 as fp16', () => {
    const data = Uint16Array.of(0x3c00);
    expect([...asNumbers({ type: 'uint16', dims: [1], data })]).toEqual([0x3c00]);
  });
});
