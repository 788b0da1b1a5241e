import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeFloats, encodeFloats } from '../../src/kernels/float-types.ts';
import type { QuantizeParameters } from '../../src/kernels/kernel.ts';
import { goldenInput } from './golden-inputs.ts';
import { quantizeWhole } from './quantized-buffers.ts';

interface GoldenCase {
  readonly pattern: string;
  readonly seed: number;
  readonly k: number;
  readonly n: number;
  readonly dtype: 'float32' | 'float16';
  readonly bits: 4 | 8;
  readonly blockSize: 16 | 32 | 64 | 128 | 256;
  readonly symmetric: boolean;
  readonly codes: string;
  readonly scales: string;
  readonly zeroPoints?: string;
}

const goldens: { readonly cases: readonly GoldenCase[] } = JSON.parse(
  readFileSync(new URL('../models/quantizer-goldens.json', import.meta.url), 'utf8'),
);

function stored(bytes: Uint8Array, golden: string): string {
  if (!golden.startsWith('sha256:')) return Buffer.from(bytes).toString('hex');
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

const base: QuantizeParameters = {
  method: 'rtn',
  type: 1,
  bits: 4,
  blockSize: 16,
  symmetric: true,
  layout: 'rows',
  n: 1,
  k: 16,
};

function row(...values: number[]): Uint8Array {
  return encodeFloats(1, [...values, ...new Array(16).fill(0)].slice(0, 16));
}

describe('quantize', () => {
  it('gives the bytes of the quantizers of ONNX Runtime', () => {
    expect(goldens.cases.length).toBeGreaterThan(300);
    for (const golden of goldens.cases) {
      const { pattern, seed, codes, scales, zeroPoints, dtype, ...format } = golden;
      const type = dtype === 'float32' ? 1 : 10;
      const source = goldenInput(pattern, seed, golden.k, golden.n, type);
      const made = quantizeWhole({ ...format, method: 'rtn', type, layout: 'columns' }, source);
      const name = `${pattern} ${dtype} ${format.bits} bits, seed ${seed}`;
      expect(stored(made.scales, scales), `scales of ${name}`).toBe(scales);
      if (zeroPoints !== undefined) {
        const packed = made.zeroPoints ?? new Uint8Array(0);
        expect(stored(packed, zeroPoints), `zero points of ${name}`).toBe(zeroPoints);
      }
      expect(stored(made.codes, codes), `codes of ${name}`).toBe(codes);
    }
  });

  it('gives an all-zero symmetric block the negated sign of its first zero as scale', () => {
    const signs = [
      [row(0, -0), -0],
      [row(-0, 0), 0],
    ] as const;
    for (const [source, expected] of signs) {
      const { scales, codes } = quantizeWhole(base, source);
      expect(decodeFloats(1, scales)[0]).toBe(expected);
      expect([...codes]).toEqual(new Array(8).fill(0x88));
    }
  });

  it('gives an all-zero asymmetric block scale +0 and zero point 0', () => {
    const made = quantizeWhole({ ...base, symmetric: false }, row(-0, 0, -0));
    expect(decodeFloats(1, made.scales)[0]).toBe(0);
    expect(made.zeroPoints?.[0]).toBe(0x80);
    expect([...made.codes]).toEqual(new Array(8).fill(0));
  });

  it('maps the element of largest magnitude to code 0 and clips its opposite', () => {
    const { codes, scales } = quantizeWhole(base, row(8, -8, 4, -4));
    expect(decodeFloats(1, scales)[0]).toBe(1);
    expect([...codes.subarray(0, 2)]).toEqual([0x0f, 0x4c]);
  });

  it('computes bf16 codes from the scale as it is stored', () => {
    // 1 / 255 becomes 129 / 2^15: the largest element is 254.02 stored steps, and 255 of the unrounded ones.
    const source = encodeFloats(16, [1, ...new Array(15).fill(0)]);
    const format = { ...base, type: 16, bits: 8, symmetric: false } as const;
    const { scales, codes } = quantizeWhole(format, source);
    expect(decodeFloats(16, scales)[0]).toBe(129 / 2 ** 15);
    expect(codes[0]).toBe(254);
  });

  it('fills slots past the end: codes with 0, the last zero point with the middle code', () => {
    const values = encodeFloats(1, new Array(19).fill(1));
    const made = quantizeWhole({ ...base, k: 19 }, values);
    expect([...made.codes.subarray(8)]).toEqual([0x00, 0x00, 0, 0, 0, 0, 0, 0]);
    const ones = quantizeWhole(
      { ...base, symmetric: false, k: 35 },
      encodeFloats(1, new Array(35).fill(1)),
    );
    expect([...ones.codes.subarray(16)]).toEqual([0xff, 0x0f, 0, 0, 0, 0, 0, 0]);
    expect([...(ones.zeroPoints ?? [])]).toEqual([0x00, 0x80]);
  });

  it('reports the first element that is not finite, in source order', () => {
    const values = new Array(32 * 3).fill(0.5);
    values[70] = Number.NaN;
    values[41] = Number.NEGATIVE_INFINITY;
    for (const type of [1, 10, 16] as const) {
      const source = encodeFloats(type, values);
      expect(quantizeWhole({ ...base, type, n: 3, k: 32 }, source).nonFinite).toBe(41);
      const columns = { ...base, type, layout: 'columns', n: 3, k: 32 } as const;
      expect(quantizeWhole(columns, source).nonFinite).toBe(41);
    }
  });
});
