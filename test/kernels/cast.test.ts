import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { castFloats, measureCast } from '../../src/kernels/cast.ts';
import { decodeFloats, encodeFloats } from '../../src/kernels/float-types.ts';
import type { FloatTypeCode } from '../../src/kernels/kernel.ts';

function cast(from: FloatTypeCode, to: FloatTypeCode, values: number[], saturate = false) {
  const made = new Uint8Array(values.length * (to === 1 ? 4 : 2));
  castFloats({ from, to, saturate }, encodeFloats(from, values), made);
  return made;
}

function patterns(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 2 }, (_, index) => view.getUint16(index * 2, true));
}

const LARGEST = 65504;

describe('a cast to fp16', () => {
  it('rounds to nearest, ties to even', () => {
    const ties = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -11 + 2 ** -23, 2 ** -25, 3 * 2 ** -26];
    expect([...decodeFloats(10, cast(1, 10, ties))]).toEqual([
      1,
      1 + 2 ** -9,
      1 + 2 ** -10,
      0,
      2 ** -24,
    ]);
  });

  it('makes infinity of what lies beyond, or the largest number', () => {
    const values = [65519, 65520, -1e9, Number.POSITIVE_INFINITY];
    expect([...decodeFloats(10, cast(1, 10, values))]).toEqual([
      LARGEST,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ]);
    expect([...decodeFloats(10, cast(1, 10, values, true))]).toEqual([
      LARGEST,
      LARGEST,
      -LARGEST,
      Number.POSITIVE_INFINITY,
    ]);
  });

  it('gives every NaN one pattern, in each type', () => {
    const nan = new Uint8Array(Uint32Array.of(0xffa12345).buffer);
    const made = new Uint8Array(2);
    castFloats({ from: 1, to: 10, saturate: false }, nan, made);
    expect(patterns(made)).toEqual([0x7e00]);
    castFloats({ from: 1, to: 16, saturate: true }, nan, made);
    expect(patterns(made)).toEqual([0x7fc0]);
    const wide = new Uint8Array(4);
    castFloats({ from: 10, to: 1, saturate: false }, new Uint8Array([0x01, 0xfe]), wide);
    expect(new DataView(wide.buffer).getUint32(0, true)).toBe(0x7fc00000);
  });
});

describe('what a cast takes', () => {
  it('is counted: too large, gone to zero, and with fewer digits', () => {
    const values = [70000, -70000, 65519, 0, 2 ** -26, -(2 ** -25), 1e-6, 2 ** -14, 1];
    const extremes = [Number.POSITIVE_INFINITY, Number.NaN];
    expect(measureCast({ from: 1, to: 10 }, encodeFloats(1, [...values, ...extremes]))).toEqual({
      overflowed: 2,
      zeroed: 2,
      subnormal: 1,
      peak: 70000,
    });
  });

  it('is what the result shows', () => {
    const any = fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(any, fc.constantFrom<10 | 16>(10, 16), (values, to) => {
        const made = decodeFloats(to, cast(1, to, values));
        const normal = to === 10 ? 2 ** -14 : 2 ** -126;
        const loss = { overflowed: 0, zeroed: 0, subnormal: 0, peak: 0 };
        for (const [index, value] of values.entries()) {
          if (!Number.isFinite(value)) continue;
          const after = Math.abs(made[index] as number);
          if (after === Number.POSITIVE_INFINITY) loss.overflowed++;
          else if (after === 0 && value !== 0) loss.zeroed++;
          else if (after > 0 && after < normal) loss.subnormal++;
          loss.peak = Math.max(loss.peak, Math.abs(value));
        }
        expect(measureCast({ from: 1, to }, encodeFloats(1, values))).toEqual(loss);
      }),
    );
  });

  it('is nothing on the way to fp32, which has every number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom<10 | 16>(10, 16), (p, t) => {
        const source = new Uint8Array(Uint16Array.of(p).buffer);
        const made = new Uint8Array(4);
        castFloats({ from: t, to: 1, saturate: false }, source, made);
        expect(decodeFloats(1, made)).toEqual(decodeFloats(t, source));
        const { overflowed, zeroed, subnormal } = measureCast({ from: t, to: 1 }, source);
        expect(overflowed + zeroed + subnormal).toBe(0);
      }),
    );
  });
});
