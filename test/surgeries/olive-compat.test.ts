import { describe, expect, it } from 'vitest';
import type { FloatTypeCode } from '../../src/kernels/kernel.ts';
import { findSurgery } from '../../src/surgeries/index.ts';
import { oliveParameters, type WeightUse } from '../../src/surgeries/olive-compat.ts';
import { expectClose } from '../support/compare-runs.ts';
import { initializerBytes, runText, type Step } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

describe('options that no pass of Olive has', () => {
  it.each([
    ['quantize-matmul', { bits: 2 }, 'Olive has 4 and 8 bits, not 2'],
    ['quantize-matmul', { method: 'search' }, 'Olive has no method search'],
    ['OnnxKQuantQuantization', { symmetric: true }, 'K-quant of Olive always has zero points'],
    ['quantize-embedding', { bits: 2 }, 'Olive has 4 and 8 bits, not 2'],
    ['quantize-embedding', { method: 'k-quant' }, 'Olive has no K-quant for tables'],
    ['quantize-embedding', { blockSize: 64 }, 'QuantizeEmbeddingInt8 has blocks of 32, not 64'],
    ['QuantizeEmbeddingInt8', { symmetric: true }, 'QuantizeEmbeddingInt8 always has zero points'],
  ])('%s %o', (name, options, message) => {
    const surgery = findSurgery(name);
    expect(() => surgery.check(options)).not.toThrow();
    expect(() => surgery.check({ ...options, compat: 'olive' })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION', message: `compat olive: ${message}` }),
    );
  });
});

describe('the quantizer that gives the bytes of Olive', () => {
  const wanted = { method: 'rtn', bits: 4, blockSize: 32, symmetric: false } as const;
  const shape = { layout: 'columns', n: 8, k: 96 } as const;
  const range = { kind: 'range', byteOffset: 0, byteLength: 0 } as const;
  const file = { fd: -1, path: '', byteLength: 0 };

  function methodFor(use: WeightUse, changes: object, shapeChanges: object, type: FloatTypeCode) {
    const weight = { type, range: { ...range, file } };
    const result = oliveParameters(
      use,
      weight,
      { ...shape, ...shapeChanges },
      { ...wanted, ...changes },
    );
    return typeof result === 'string' ? result : result.method;
  }

  it.each([
    ['product', {}, {}, 1, 'olive-rtn'],
    ['product', { method: 'auto' }, {}, 10, 'olive-rtn'],
    ['product', {}, {}, 16, 'its weight is bf16, of which Olive stores no scales'],
    ['product', { method: 'k-quant' }, {}, 16, 'olive-k-quant'],
    ['product', { method: 'k-quant' }, { k: 32 }, 1, 'olive-k-quant-single'],
    ['product', { method: 'k-quant' }, { k: 20 }, 1, 'olive-k-quant-single'],
    // The one channel is contiguous however it lies, so that NumPy sums it in pairs.
    ['product', { method: 'k-quant' }, { k: 32, n: 1 }, 1, 'olive-k-quant'],
    ['table', {}, {}, 16, 'olive-gather'],
    ['table', { method: 'auto' }, {}, 1, 'olive-gather'],
    ['table', {}, { k: 33 }, 1, 'its width 33 is odd, which 4 bits cannot say'],
    ['table', { bits: 8 }, { k: 33 }, 1, 'olive-gather'],
    ['table', { method: 'auto', bits: 8 }, {}, 10, 'olive-int8'],
    [
      'table',
      { method: 'auto', bits: 8 },
      {},
      16,
      'its table is bf16, which QuantizeEmbeddingInt8 leaves alone',
    ],
    [
      'table',
      { method: 'auto', bits: 8 },
      { k: 80 },
      1,
      'its width 80 is not a multiple of 32, so QuantizeEmbeddingInt8 leaves it alone',
    ],
  ] as const)('for a %s with %o, %o, type %i: %s', (use, changes, shapeChanges, type, expected) => {
    expect(methodFor(use, changes, shapeChanges, type)).toBe(expected);
  });
});

const MODEL = `
input ids: int64[batch, seq]
output logits: fp16[batch, seq, 512]
weight E: fp16[512, 64] = random(1)
weight A: fp16[64, 64] = random(2)
weight B: fp16[64, 512] = random(3)
h = Gather(E, ids) @model/embed_tokens/Gather
a = MatMul(h, A) @up
logits = MatMul(a, B) @head
`;

it.each([
  [
    'OnnxBlockWiseRtnQuantization',
    ['A_Q4', 'A_scales', 'A_zero_point', 'B_Q4', 'B_scales', 'B_zero_point'],
  ],
  [
    'OnnxKQuantQuantization',
    ['A_Q4', 'A_scales', 'A_zero_point', 'B_Q4', 'B_scales', 'B_zero_point'],
  ],
  ['QuantizeEmbeddingInt8', ['E_Q8', 'E_scales', 'E_zp']],
])('%s: names as Olive has them, and a model that runs', async (name, names) => {
  const steps: Step[] = [[name, { compat: 'olive' }]];
  const result = await runText(scratch(), MODEL, steps);
  for (const tensor of names) {
    expect(initializerBytes(result.output, tensor).byteLength, tensor).toBeGreaterThan(0);
  }
  await expectClose(result, 0.2);
});

it('an override that Olive cannot have is declined', async () => {
  const set = ['*head=method:search'];
  const steps: Step[] = [['OnnxBlockWiseRtnQuantization', { compat: 'olive', set }]];
  const { report } = await runText(scratch(), MODEL, steps);
  expect(report.steps[0]?.declined).toEqual([
    { node: 'head', reason: 'Olive has no method search' },
  ]);
});

it('the table is shared by head and embedding as any other', async () => {
  const tied = MODEL.replace('weight B: fp16[64, 512] = random(3)', 'B = Transpose(E)');
  const steps: Step[] = [['QuantizeEmbeddingInt8', { compat: 'olive' }], 'tie-word-embeddings'];
  const result = await runText(scratch(), tied, steps);
  expect(result.printed).toContain('MatMulNBits');
  expect(result.printed).not.toContain('fp16[512, 64]');
  await expectClose(result, 0.02);
});
