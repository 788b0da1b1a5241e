import { describe, expect, it } from 'vitest';
import { embeddingBlocks } from '../../src/surgeries/quantize-embedding.ts';
import { expectClose } from '../support/compare-runs.ts';
import { isTied, runText } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

describe('blocks of a table', () => {
  it.each([
    // ONNX Runtime up to 1.26 misreads packed zero points of rows with an odd number of blocks.
    [64, { bits: 4, blockSize: 32, symmetric: false }, { blockSize: 32, symmetric: false }],
    [96, { bits: 4, blockSize: 32, symmetric: false }, { blockSize: 16, symmetric: false }],
    [32, { bits: 4, blockSize: 32, symmetric: false }, { blockSize: 16, symmetric: false }],
    [80, { bits: 4, blockSize: 32, symmetric: false }, { blockSize: 16, symmetric: true }],
    [16, { bits: 4, blockSize: 32, symmetric: false }, { blockSize: 16, symmetric: true }],
    [96, { bits: 4, blockSize: 32, symmetric: true }, { blockSize: 32, symmetric: true }],
    [96, { bits: 8, blockSize: 32, symmetric: false }, { blockSize: 32, symmetric: false }],
    [96, { bits: 8, blockSize: 64, symmetric: false }, { blockSize: 32, symmetric: false }],
    [768, { bits: 4, blockSize: 256, symmetric: false }, { blockSize: 128, symmetric: false }],
    [64, { bits: 2, blockSize: 32, symmetric: false }, { blockSize: 16, symmetric: false }],
    [128, { bits: 2, blockSize: 32, symmetric: false }, { blockSize: 32, symmetric: false }],
    [96, { bits: 2, blockSize: 32, symmetric: false }, { blockSize: 32, symmetric: true }],
    [80, { bits: 2, blockSize: 32, symmetric: false }, { blockSize: 16, symmetric: true }],
  ] as const)('of width %d, wanted %o', (width, wanted, given) => {
    expect(embeddingBlocks(width, wanted)).toEqual({ ...wanted, ...given });
  });

  it.each([65, 8, 24])('there are none at width %d', (width) => {
    expect(embeddingBlocks(width, { bits: 8, blockSize: 32, symmetric: false })).toBe(
      `its width ${width} is not a multiple of 16`,
    );
  });
});

it.each([
  ['plain', 'weight E: fp16[1024, 80] = random(1)\ny = Gather(E, ids)'],
  ['mirrored', 'weight E: fp16[80, 1024] = random(1)\nt = Transpose(E)\ny = Gather(t, ids)'],
  ['in a Constant node', 'const E: fp16[1024, 80] = random(1)\ny = Gather(E, ids)'],
  [
    'read in the graph and in a body',
    `weight E: fp16[1024, 80] = random(1)
input c: bool[]
a = Gather(E, ids)
b = If(c)
  then_branch:
    output t
    t = Gather(E, ids)
  else_branch:
    output e
    e = Neg(a)
y = Add(a, b)`,
  ],
])('the rows of a table that is %s come out as they were', async (_, body) => {
  for (const [bits, tolerance] of [
    [2, 0.6],
    [4, 0.15],
    [8, 0.01],
  ] as const) {
    const text = `input ids: int64[batch, seq]\noutput y: fp16[batch, seq, 80]\n${body}\n`;
    const result = await runText(scratch(`${bits}`), text, [['quantize-embedding', { bits }]]);
    expect(result.printed).not.toMatch(/[ =]Gather\(/);
    expect(result.printed).not.toContain('fp16[1024, 80]');
    await expectClose(result, tolerance);
  }
});

it('has 2 bits and zero points where four blocks and more share their bytes', async () => {
  const text = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight E: fp32[1024, 64] = random(1)
h = Gather(E, ids)
t = Transpose(E)
logits = MatMul(h, t)
`;
  const steps = [['quantize-embedding', { bits: 2 }] as const, 'tie-word-embeddings'];
  const result = await runText(scratch(), text, steps);
  expect(result.report.warnings).toEqual([
    'the embedding has blocks of 16: 64 columns do not make four times a whole number of blocks of 32',
    'the embedding has 2 bits: ONNX Runtime before 1.27 does not load GatherBlockQuantized with so few',
  ]);
  expect(result.printed).toContain('weight E_zero_points: uint8[1024, 1]');
  expect(result.declined).toEqual([]);
  expect(isTied(result.output)).toBe(true);
  await expectClose(result, 0.5);
});

it('leaves a lookup of the columns of the same table alone', async () => {
  const text = `
input ids: int64[batch, seq]
output y: fp32[batch, seq, 512]
output z: fp32[batch, seq, 512]
weight E: fp32[512, 512] = random(1)
y = Gather(E, ids) @rows
t = Transpose(E)
z = Gather(t, ids) @columns
`;
  const result = await runText(scratch(), text, ['quantize-embedding']);
  expect(result.report.steps[0]?.changes.map(({ node }) => node)).toEqual(['rows']);
  expect(result.printed).toContain('z = Gather(t, ids) @columns');
  await expectClose(result, 0.01);
});

it('reads negative ids from the end', async () => {
  const text = `
input ids: int64[batch, seq]
output y: fp32[batch, seq, 64]
weight E: fp32[1024, 64] = random(1)
y = Gather(E, ids)
`;
  const result = await runText(scratch(), text, ['quantize-embedding']);
  const { runModel, relativeError } = await import('../support/model-builder.ts');
  const ids = { type: 'int64', dims: [1, 3], data: BigInt64Array.of(-1n, -1024n, 3n) };
  const [before, after] = [
    await runModel(result.input, { ids }),
    await runModel(result.output, { ids }),
  ];
  const [expected, actual] = [before.get('y'), after.get('y')];
  if (expected === undefined || actual === undefined) throw new Error('no output y');
  expect(relativeError(actual, expected)).toBeLessThan(0.01);
});
