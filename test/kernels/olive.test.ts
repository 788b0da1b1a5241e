import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { encodeFloats } from '../../src/kernels/float-types.ts';
import type { OliveMethod, QuantizeParameters } from '../../src/kernels/kernel.ts';
import { goldenInput } from './golden-inputs.ts';
import { quantizeWhole, transposed } from './quantized-buffers.ts';

interface OliveCase {
  readonly method: Exclude<OliveMethod, 'olive-k-quant-single'>;
  readonly pattern: string;
  readonly seed: number;
  readonly k: number;
  readonly n: number;
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  readonly bits: 4 | 8;
  readonly blockSize: 16 | 32 | 64 | 128 | 256;
  readonly symmetric: boolean;
  readonly codes: string;
  readonly scales: string;
  readonly zeroPoints?: string;
}

const goldens: { readonly cases: readonly OliveCase[] } = JSON.parse(
  readFileSync(new URL('../models/olive-goldens.json', import.meta.url), 'utf8'),
);

const TYPES = { float32: 1, float16: 10, bfloat16: 16 } as const;

function stored(bytes: Uint8Array | undefined, golden: string | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  if (!golden?.startsWith('sha256:')) return Buffer.from(bytes).toString('hex');
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The kernel's name for what Olive's pass does to a weight of this shape. */
function methodOf({ method, n, k, blockSize }: OliveCase): OliveMethod {
  return method === 'olive-k-quant' && n > 1 && k <= blockSize ? 'olive-k-quant-single' : method;
}

describe('the methods of Olive', () => {
  it('give the bytes of its passes, from rows and from columns', () => {
    expect(goldens.cases.length).toBeGreaterThan(700);
    for (const golden of goldens.cases) {
      const { pattern, seed, codes, scales, zeroPoints, dtype, k, n, ...format } = golden;
      const type = TYPES[dtype];
      const isTable = ['olive-gather', 'olive-int8'].includes(golden.method);
      const [rows, columns] = isTable ? [n, k] : [k, n];
      const source = goldenInput(pattern, seed, rows, columns, type);
      const turned = transposed(source, rows, columns, type === 1 ? 4 : 2);
      for (const layout of ['rows', 'columns'] as const) {
        const method = methodOf(golden);
        const parameters = { ...format, method, type, layout, n, k };
        const made = quantizeWhole(parameters, (layout === 'rows') === isTable ? source : turned);
        const name = `${method} of ${pattern} ${dtype}, ${format.bits} bits, seed ${seed}, ${layout}`;
        expect(stored(made.scales, scales), `scales of ${name}`).toBe(scales);
        expect(stored(made.zeroPoints, zeroPoints), `zero points of ${name}`).toBe(zeroPoints);
        expect(stored(made.codes, codes), `codes of ${name}`).toBe(codes);
      }
    }
  });

  const base: QuantizeParameters = {
    method: 'olive-k-quant',
    type: 1,
    bits: 4,
    blockSize: 16,
    symmetric: false,
    layout: 'rows',
    n: 1,
    k: 16,
  };

  it('keep the defects: K-quant loses blocks of one sign and constants', () => {
    const oneSign = Array.from({ length: 16 }, (_, i) => 1 + i / 15);
    expect([...quantizeWhole(base, encodeFloats(1, oneSign)).codes]).toEqual(
      new Array(8).fill(0xff),
    );
    const constant = quantizeWhole(base, encodeFloats(1, new Array(16).fill(0.3)));
    expect([...constant.codes]).toEqual(new Array(8).fill(0));
  });

  it('report the first element that is not finite', () => {
    const values = new Array(32).fill(0.5);
    values[19] = Number.NaN;
    for (const method of ['olive-rtn', 'olive-gather', 'olive-k-quant', 'olive-int8'] as const) {
      const parameters = { ...base, method, bits: 8, n: 2 } as const;
      expect(quantizeWhole(parameters, encodeFloats(1, values)).nonFinite, method).toBe(19);
    }
  });
});
