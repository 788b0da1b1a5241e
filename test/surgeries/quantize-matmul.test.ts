import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { isSensitiveLayer } from '../../src/surgeries/mixed-precision.ts';
import { expectClose } from '../support/compare-runs.ts';
import { runSteps, runText, type Step } from '../support/recipe-run.ts';
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
    await expect(layers({ include: ['@?'] })).rejects.toThrow('"@?" is not a role');
  });

  it('a role that matches nothing is named, with those that the model has', async () => {
    const { changed, warnings } = await layers({
      include: ['@v', '@head'],
      exclude: ['@embedding', '@router?'],
      set: ['@o=bits:8', '@head=blockSize:64'],
    });
    expect(changed).toEqual(['anything']);
    expect(warnings).toEqual([
      'include "@v" matches no node; this model has @head',
      'exclude "@embedding" matches no node; this model has @head',
      'set "@o" matches no node; this model has @head',
    ]);
  });

  it('a role whose node is not to be changed is warned of only where it is asked for', async () => {
    const text = `
input ids: int64[rows]
output logits: fp32[rows, 512]
weight E: fp32[512, 64] = random(1)
weight H: fp32[64, 512] = random(3)
x = Gather(E, ids) @embed
logits = MatMul(x, H) @head`;
    expect((await layers({ exclude: ['@embedding'] }, text)).warnings).toEqual([]);
    expect((await layers({ include: ['@embedding', '@embedding'] }, text)).warnings).toEqual([
      'include "@embedding" matches nothing that this could change',
    ]);
  });

  it('a role may be absent where that is said', async () => {
    const text = 'input x: fp32[4]\noutput y\ny = Neg(x)';
    expect(await layers({ include: ['@head'] }, text)).toMatchObject({
      changed: [],
      warnings: ['include "@head" matches no node'],
    });
    expect(await layers({ include: ['@head?'] }, text)).toMatchObject({
      changed: [],
      warnings: [],
    });
  });
});

describe('options for some nodes', () => {
  const what = (set: unknown, more: Record<string, unknown> = {}) => layers({ set, ...more });

  it('hold for the nodes that match, the later ones before the earlier', async () => {
    const result = await what(['*layers*=bits:8', '*layers.1*=bits:2', '@head=blockSize:64']);
    expect(result.what).toEqual([
      '8-bit weight [64, 64]',
      '2-bit weight [64, 64]',
      '4-bit weight [512, 64]',
    ]);
    expect(result.warnings).toEqual([]);
  });

  it('may be all that a node is told: method, block, zero points and accuracy level', async () => {
    const set = { anything: { method: 'rtn', blockSize: 64, symmetric: true, accuracyLevel: 0 } };
    const { printed } = await runText(scratch(), LAYERS, [['quantize-matmul', { set }]]);
    expect(printed).toContain('weight H_scales: fp32[512, 1]');
    expect(printed).not.toContain('H_zero_points');
    expect(printed).toContain('@anything_Q4 {K: 64, N: 512, bits: 4, block_size: 64}');
    expect(printed).toContain('weight A_scales: fp32[64, 2]');
  });

  it('warn by name where they match nothing, not where what they match is excluded', async () => {
    const { warnings, changed } = await what(['none=bits:8', 'any*=bits:8'], {
      include: ['*mlp*', 'any*'],
      exclude: ['any*', 'nothing'],
    });
    expect(changed).toEqual(['model/layers.0/mlp/up', 'model/layers.1/mlp/up']);
    expect(warnings).toEqual([
      'exclude "nothing" matches no node',
      'set "none" matches no node',
      'set "any*" matches only nodes that are left out or quantized already',
    ]);
    expect((await what(['@head?=bits:8'], { exclude: ['any*'] })).warnings).toEqual([]);
  });

  it('refuse a role that does not exist', async () => {
    await expect(what('@values=bits:8')).rejects.toThrow(UsageError);
  });

  it('tell what an accuracy level costs at 8 bits', async () => {
    expect((await what('any*=bits:8,accuracyLevel:0')).warnings).toEqual([
      'accuracy level 0 at 8 bits: ONNX Runtime on CPU expands the whole weight to fp32 on every run',
    ]);
  });
});

describe('a weight that several nodes read', () => {
  const SHARED = `
input x: fp32[rows, 64]
output z: fp32[rows, 64]
weight A: fp32[64, 64] = random(1)
a = MatMul(x, A) @first
b = MatMul(a, A) @second
`;

  it('is stored once where they agree', async () => {
    const text = `${SHARED}z = Relu(b)`;
    const { printed, report } = await runText(scratch(), text, ['quantize-matmul']);
    expect(printed.match(/weight A_Q4/g)).toHaveLength(1);
    expect(report.warnings).toEqual([]);
  });

  it('is stored for each where they do not, which is said with sizes', async () => {
    const text = `${SHARED}z = Relu(b)`;
    const run = await runText(scratch(), text, [['quantize-matmul', { set: 'second=bits:8' }]]);
    expect(run.report.warnings).toEqual([
      'one weight is stored 2 times: "A_Q4" (4 bits, 2.56 KiB), "A_Q8" (8 bits, 4.63 KiB)',
    ]);
    expect(run.printed).toContain('weight A_Q8: uint8[64, 2, 32]');
    expect(run.printed).toContain('weight A_scales_1: fp32[64, 2]');
    await expectClose(run, 0.2);
  });

  it('is stored for each surgery that wants it otherwise, which is said at the end', async () => {
    const text = `${SHARED}z = Relu(b)`;
    const { report } = await runText(scratch(), text, [
      ['quantize-matmul', { include: 'first' }],
      ['quantize-matmul', { bits: 8 }],
    ]);
    expect(report.warnings).toEqual([
      'one weight is stored 2 times: "A_Q4" (4 bits, 2.56 KiB), "A_Q8" (8 bits, 4.63 KiB)',
    ]);
  });

  it('is stored for each layout: a transposed table is another', async () => {
    const text = `${SHARED}t = Transpose(A)\nz = MatMul(b, t) @third`;
    const run = await runText(scratch(), text, [['quantize-matmul', { bits: 8 }]]);
    expect(run.report.warnings).toEqual([
      'one weight is stored 2 times: "A_Q8" (8 bits from columns, 4.63 KiB), "A_Q8_1" (8 bits from rows, 4.63 KiB)',
    ]);
    await expectClose(run, 0.05);
  });
});

describe('mixed precision', () => {
  const layout = (name: string) =>
    fileURLToPath(new URL(`../models/layouts/${name}/model.onnx`, import.meta.url));

  async function mixed(name: string, rule: string) {
    const steps: Step[] = [['quantize-matmul', { mixed: rule }]];
    const { report } = await runSteps(layout(name), scratch('out'), steps, { dryRun: true });
    const [step] = report.steps;
    const more = step?.changes.filter(({ what }) => what.startsWith('8-bit')) ?? [];
    return { more: more.map(({ node }) => node), warnings: report.warnings };
  }

  it('k_quant_last is about the head', async () => {
    expect(await mixed('genai-phi-fp32-cpu', 'k_quant_last')).toEqual({
      more: ['/lm_head/MatMul'],
      warnings: [],
    });
  });

  it('k_quant_mixed is about the head, and value and down projections of some layers', async () => {
    expect((await mixed('genai-phi-fp32-cpu', 'k_quant_mixed')).more).toEqual([
      '/model/layers.0/attn/qkv_proj/MatMul',
      '/model/layers.0/mlp/fc2/MatMul',
      '/lm_head/MatMul',
    ]);
    expect((await mixed('dynamo-llama-tied-f16', 'k_quant_mixed')).more).toEqual(
      [2, 6, 14].map((index) => `node_linear_${index}`),
    );
  });

  it('k_quant_linear is about the head and whole layers with linear attention', async () => {
    const { more } = await mixed('mobius-qwen35-text-f16-default', 'k_quant_linear');
    const part = (node: string) => /layers\.(\d)\/(\w+)/.exec(node)?.slice(1).join(' ') ?? node;
    // Two of the five projections around linear attention are too narrow to be quantized.
    const counts = new Map<string, number>();
    for (const name of more.map(part)) counts.set(name, (counts.get(name) ?? 0) + 1);
    expect([...counts].map(([name, count]) => `${name} ${count}`)).toEqual([
      '0 linear_attn 3',
      '0 mlp 3',
      '1 linear_attn 3',
      '1 mlp 3',
      '2 linear_attn 3',
      '2 mlp 3',
      'lm_head/MatMul_node_303 1',
    ]);
  });

  it('a rule about nothing in the model warns', async () => {
    expect((await mixed('genai-phi-fp32-cpu', 'k_quant_linear')).warnings).toEqual([
      'mixed k_quant_linear: the model has no layers with linear attention',
    ]);
    expect((await layers({ mixed: 'k_quant_mixed' })).warnings).toEqual([
      'mixed k_quant_mixed: the model has no value and down projections in layers whose order is known',
    ]);
  });

  it('gives way to what is set for a node', async () => {
    const { what } = await layers({ mixed: 'k_quant_last', set: '@head=bits:2' });
    expect(what?.at(-1)).toBe('2-bit weight [512, 64]');
  });

  // onnxruntime-genai's own lists, as its documentation of mixed_layers gives them.
  it.each([
    [18, [0, 1, 2, 4, 7, 10, 13, 16, 17]],
    [28, [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 25, 26, 27]],
    [32, [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]],
    [36, [0, 1, 2, 3, 4, 6, 9, 12, 15, 18, 21, 24, 27, 30, 32, 33, 34, 35]],
  ])('of %i layers those are sensitive that the builder takes', (count, expected) => {
    const all = Array.from({ length: count }, (_, layer) => layer);
    expect(all.filter((layer) => isSensitiveLayer(layer, count))).toEqual(expected);
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

  it.each([
    [
      'a weight of three dimensions and an input of one',
      'input x: fp32[64]\nweight W: fp32[1, 64, 64]\ny = MatMul(x, W)',
      'its weight has 3 dimensions, its input 1',
    ],
    [
      'a weight of three dimensions and an input of nobody knows how many',
      'input x\nweight W: fp32[1, 64, 64]\ny = MatMul(x, W)',
      'its weight has 3 dimensions, and how many its input has is not stated',
    ],
    [
      'a Transpose of all three dimensions',
      'input x: fp32[4, 64]\nweight V: fp32[64, 64, 1]\nW = Transpose(V)\ny = MatMul(x, W)',
      'its right-hand side is not a constant',
    ],
  ])('%s', async (_, body, reason) => {
    const { changed, declined } = await layers({}, `output y\n${body}`);
    // A product whose right-hand side is computed is no layer to begin with.
    expect(declined).toEqual(reason.startsWith('its right') ? [] : [reason]);
    expect(changed).toEqual([]);
  });

  it('a weight that reaches a function from its callers', async () => {
    const { declined } = await layers(
      {},
      `
input x: fp32[64, 64]
output y
weight A: fp32[64, 64] = random(1)
weight B: fp32[64, 64] = random(2)
a = local.Linear(x, A)
y = local.Linear(a, B)
function local.Linear(h, w) -> r
  t = Transpose(w)
  r = MatMul(h, t)`,
    );
    expect(declined).toEqual([
      'its weight is the input "w" of the function Linear, which 2 of its callers give',
    ]);
  });

  it('in silence, a product of two activations', async () => {
    const { declined } = await layers(
      {},
      'input x: fp32[64, 64]\noutput y\nz = Neg(x)\ny = MatMul(x, z)',
    );
    expect(declined).toEqual([]);
  });
});

describe('in the body of a function', () => {
  const LAYER = `
input x: fp32[4, 64]
output y: fp32[4, 64]
y = local.Layer(x)
function local.Layer(h) -> r
  const W: fp32[64, 64] = random(2)
  r = MatMul(h, W) @up
`;

  it('imports the operator set there too', async () => {
    const run = await runText(scratch(), LAYER, ['quantize-matmul'], {
      edit: ({ functions }) => {
        for (const body of functions ?? []) {
          body.opsetImport = body.opsetImport?.filter(({ domain }) => domain === '') ?? [];
        }
      },
    });
    await expectClose(run, 0.12);
  });

  it('is stored once for each way its readers want it', async () => {
    const text = LAYER.replace(
      '  r = MatMul(h, W) @up',
      '  u = MatMul(h, W) @up\n  r = MatMul(u, W) @down',
    );
    const both = await runText(scratch(), text, [['quantize-matmul', { set: 'down=bits:8' }]]);
    expect(both.printed).toContain('const W_Q4: uint8[64, 2, 16]');
    expect(both.printed).toContain('const W_Q8: uint8[64, 2, 32]');
    expect(both.report.warnings).toEqual([
      'one weight is stored 2 times: "W_Q4" (4 bits, 2.56 KiB), "W_Q8" (8 bits, 4.63 KiB)',
    ]);
    await expectClose(both, 0.15);
  });
});

describe('in a model older than initializers of their own', () => {
  it('a Constant node becomes Constant nodes', async () => {
    const text =
      'ir 3\nopset 8\nopset com.microsoft 1\ninput x: fp32[4, 64]\noutput y: fp32[4, 64]\nconst W: fp32[64, 64]\ny = MatMul(x, W)';
    const run = await runText(scratch(), text, ['quantize-matmul']);
    expect(run.printed).toContain('const W_Q4: uint8[64, 2, 16]');
    await expectClose(run, 0.12);
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
