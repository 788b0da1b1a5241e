import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { runText } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

function layers(options: Record<string, unknown>, text = LAYERS) {
  return runText(scratch(), text, [['quantize-matmul', options]], { dryRun: true }).then(
    ({ report, declined }) => ({
      changed: report.steps[0]?.changes.map(({ node }) => node),
      declined,
      warnings: report.warnings,
      what: report.steps[0]?.changes.map(({ what }) => what),
    }),
  );
}

const LAYERS = `
input x: fp32[rows, 64]
output logits: fp32[rows, 512]
weight A: fp32[64, 64] = random(1)
weight B: fp32[64, 64] = random(2)
weight H: fp32[64, 512] = random(3)
a = MatMul(x, A) @model/layers.0/mlp/up
b = MatMul(a, B) @model/layers.1/mlp/up
logits = MatMul(b, H) @anything
`;

describe('which layers', () => {
  it.each([
    [{}, ['model/layers.0/mlp/up', 'model/layers.1/mlp/up', 'anything']],
    [{ include: ['@head'] }, ['anything']],
    [{ exclude: ['@head'] }, ['model/layers.0/mlp/up', 'model/layers.1/mlp/up']],
    [{ include: ['*/mlp/*'], exclude: ['model/layers.1/*'] }, ['model/layers.0/mlp/up']],
    [{ include: ['model/layers.?/mlp/up'] }, ['model/layers.0/mlp/up', 'model/layers.1/mlp/up']],
    [{ include: 'anything' }, ['anything']],
  ])('%o', async (options, expected) => {
    const { changed, warnings } = await layers(options);
    expect(changed).toEqual(expected);
    expect(warnings).toEqual([]);
  });

  it('a glob that matches nothing is named; its dots mean dots', async () => {
    const { changed, warnings } = await layers({ include: ['model/layersX0/*', 'any*', 'up'] });
    expect(changed).toEqual(['anything']);
    expect(warnings).toEqual([
      'include "model/layersX0/*" matches no node',
      'include "up" matches no node',
    ]);
  });

  it('an unknown role is refused', async () => {
    await expect(layers({ include: ['@heads'] })).rejects.toThrow(UsageError);
  });

  it('a role that the model does not have is no mistake', async () => {
    const { changed, warnings } = await layers(
      { include: ['@head'] },
      'input x: fp32[4]\noutput y\ny = Neg(x)',
    );
    expect(changed).toEqual([]);
    expect(warnings).toEqual([]);
  });
});

describe('is declined', () => {
  it.each([
    [
      'fewer inputs than a block',
      'weight W: fp32[8, 64]\ny = MatMul(x, W)',
      'it has 8 inputs, fewer than one block of 16',
    ],
    [
      'three dimensions',
      'weight W: fp32[2, 64, 64]\ny = MatMul(x, W)',
      'its weight has 3 dimensions, not 2',
    ],
    [
      'one dimension',
      'weight W: fp32[512]\ny = MatMul(x, W)',
      'its weight has 1 dimensions, not 2',
    ],
    [
      'a Cast',
      'weight V: fp16[64, 64]\nW = Cast(V) {to: 1}\ny = MatMul(x, W)',
      'its weight passes through a Cast',
    ],
    [
      'integers',
      'weight W: int32[64, 64] = fill(1)\ny = MatMul(x, W)',
      'its weight is int32, not fp32, fp16 or bf16',
    ],
    [
      'next to nothing',
      'weight W: fp32[16, 8]\ny = MatMul(x, W)',
      'its weight is too small to gain (512 bytes)',
    ],
    [
      'a factor of a Gemm',
      'weight W: fp32[64, 64]\ny = Gemm(x, W) {alpha: 2.0}',
      'Gemm with alpha 2',
    ],
    [
      'a factor of a bias',
      'weight W: fp32[64, 64]\ny = Gemm(x, W, x) {beta: 0.5}',
      'Gemm with beta 0.5',
    ],
  ])('%s', async (_, body, reason) => {
    const { changed, declined } = await layers({}, `input x: fp32[64, 64]\noutput y\n${body}`);
    expect(declined).toEqual([reason]);
    expect(changed).toEqual([]);
  });

  it('in silence, a product of two activations', async () => {
    const { declined } = await layers(
      {},
      'input x: fp32[64, 64]\noutput y\nz = Neg(x)\ny = MatMul(x, z)',
    );
    expect(declined).toEqual([]);
  });
});

describe('says', () => {
  it('who keeps a float weight alive', async () => {
    const text = `
input x: fp32[rows, 64]
output y
output z
output A
weight A: fp32[64, 64]
weight B: fp32[64, 64]
y = MatMul(x, A) @first
z = MatMul(y, B) @second
n = Neg(B) @negate
`;
    expect((await layers({}, text)).warnings).toEqual([
      '"A" is stored as float as well: it is an output',
      '"B" is stored as float as well: negate reads it',
    ]);
  });

  it('that a quantization annotation keeps a float weight alive', async () => {
    const { report, printed } = await runText(scratch(), LAYERS, ['quantize-matmul'], {
      edit: (_, graph) => {
        graph.quantizationAnnotation = [
          { tensorName: 'x', quantParameterTensorNames: [{ key: 'SCALE_TENSOR', value: 'A' }] },
        ];
      },
    });
    expect(printed).toContain('weight A: fp32[64, 64]');
    expect(printed).not.toContain('weight B: fp32[64, 64]');
    expect(report.warnings).toEqual([
      '"A" is stored as float as well: an annotation or training names it',
    ]);
  });

  it('what an accuracy level costs at 8 bits, and only there', async () => {
    expect((await layers({ bits: 8, accuracyLevel: 0 })).warnings).toEqual([
      'accuracy level 0 at 8 bits: ONNX Runtime on CPU expands the whole weight to fp32 on every run',
    ]);
    expect((await layers({ bits: 4, accuracyLevel: 0 })).warnings).toEqual([]);
    expect((await layers({ bits: 8, accuracyLevel: 0, include: ['none'] })).warnings).toEqual([
      'include "none" matches no node',
    ]);
  });
});

it('carries what a node says about itself to its successor', async () => {
  const { printed, output } = await runText(scratch(), LAYERS, ['quantize-matmul'], {
    edit: (_, graph) => {
      const [node] = graph.node ?? [];
      if (node) {
        node.docString = 'the first layer';
        node.metadataProps = [{ key: 'namespace', value: 'model/layers.0' }];
      }
    },
  });
  expect(printed).toContain('MatMulNBits');
  const { openModel } = await import('../../src/external-data/open-model.ts');
  using opened = openModel(output);
  const [node] = opened.model.graph.nodes;
  expect(node?.proto.docString).toBe('the first layer');
  expect(node?.proto.metadataProps?.[0]?.value).toBe('model/layers.0');
});

it('takes no name that a stale value_info describes', async () => {
  const text = LAYERS.replace('weight A:', 'value A_Q4: fp32[3]\nvalue gone: fp32[1]\nweight A:');
  const { printed } = await runText(scratch(), text, ['quantize-matmul']);
  expect(printed).toContain('weight A_Q4_1: uint8');
  expect(printed).toContain('value A_Q4: fp32[3]');
});
