import { describe, expect, it } from 'vitest';
import {
  bfloat16ToFloat,
  decodeFloats,
  encodeFloats,
  floatElements,
  floatToBfloat16,
  floatToHalf,
  halfToFloat,
} from '../../src/kernels/float-types.ts';

function patternsThat(fail: (pattern: number) => boolean): number[] {
  return Array.from({ length: 0x10000 }, (_, pattern) => pattern).filter(fail);
}

describe('fp16', () => {
  it('comes back from every pattern', () => {
    const lost = patternsThat((pattern) => {
      const value = halfToFloat(pattern);
      return floatToHalf(value) !== (Number.isNaN(value) ? 0x7e00 : pattern);
    });
    expect(lost).toEqual([]);
  });

  it('rounds halfway cases to even, and everything else to the nearer neighbour', () => {
    const wrong = patternsThat((pattern) => {
      if (pattern >= 0x7bff) return false;
      const middle = (halfToFloat(pattern) + halfToFloat(pattern + 1)) / 2;
      const even = pattern % 2 === 0 ? pattern : pattern + 1;
      return (
        floatToHalf(middle) !== even ||
        floatToHalf(-middle) !== (even | 0x8000) ||
        floatToHalf(Math.fround(middle * (1 - 2 ** -23))) !== pattern ||
        floatToHalf(Math.fround(middle * (1 + 2 ** -23))) !== pattern + 1
      );
    });
    expect(wrong).toEqual([]);
  });

  it('overflows to infinity from 65520 on', () => {
    expect(floatToHalf(Math.fround(65519.996))).toBe(0x7bff);
    expect(floatToHalf(65520)).toBe(0x7c00);
    expect(floatToHalf(-1e30)).toBe(0xfc00);
  });
});

describe('bf16', () => {
  it('comes back from every pattern', () => {
    const lost = patternsThat((pattern) => {
      const value = bfloat16ToFloat(pattern);
      return floatToBfloat16(value) !== (Number.isNaN(value) ? 0x7fc0 : pattern);
    });
    expect(lost).toEqual([]);
  });

  it('rounds halfway cases to even', () => {
    expect(floatToBfloat16(1 + 2 ** -8)).toBe(0x3f80);
    expect(floatToBfloat16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(floatToBfloat16(Math.fround(1 + 2 ** -8 + 2 ** -20))).toBe(0x3f81);
  });
});

describe('floatElements', () => {
  it('reads elements at any alignment', () => {
    const bytes = new Uint8Array(13);
    bytes.set(encodeFloats(1, [1.5, -2, 3]), 1);
    expect([...decodeFloats(1, bytes.subarray(1))]).toEqual([1.5, -2, 3]);
    expect([...decodeFloats(1, Buffer.from(bytes.buffer, 1))]).toEqual([1.5, -2, 3]);
  });

  it('refuses bytes that end inside an element', () => {
    expect(() => floatElements(10, new Uint8Array(3))).toThrow(
      expect.objectContaining({ code: 'ERR_TENSOR' }),
    );
  });
});
