import { describe, expect, it } from 'vitest';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { type DiffReport, diffModels } from '../../src/report/diff.ts';
import { repositoryPath } from '../support/cli.ts';
import { writeModel } from '../support/model-builder.ts';
import { runSteps, runText, type Step } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();
const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');
const OPTIONS = { memoryBytes: 8 * 2 ** 20, threads: 1, io: 'auto' } as const;

function diff(a: string, b: string): Promise<DiffReport> {
  return diffModels(a, b, OPTIONS);
}

const NO_GRAPH_DIFFERENCES = {
  versions: [],
  metadata: [],
  inputs: [],
  outputs: [],
  operators: [],
  nodesOnlyInA: [],
  nodesOnlyInB: [],
  changedNodes: [],
};

const MODEL = `
input ids: int64[rows]
input x: fp32[rows, 96]
output y: fp32[rows, 80]
output e: fp32[rows, 96]
weight E: fp32[120, 96] = random(1)
weight W: fp32[96, 80] = random(2)
weight B: fp32[80] = random(3)
e = Gather(E, ids) @embed
p = MatMul(x, W) @project
y = Add(p, B) @bias
`;

function write(name: string, text: string): string {
  return writeModel(scratch(), text, { name });
}

describe('a model and itself', () => {
  it('are the same', async () => {
    const report = await diff(EXAMPLE, EXAMPLE);
    expect(report).toMatchObject({ same: true, tensors: [], onlyInA: [], onlyInB: [] });
    expect(report.graph).toEqual(NO_GRAPH_DIFFERENCES);
    expect(report.sameTensors).toBeGreaterThan(30);
  });
});

describe('a model and what a recipe made of it', () => {
  it.each([['rtn'], ['search']])('differ as the run said (%s)', async (method) => {
    const output = `${scratch()}/out`;
    const steps = ['quantize-embedding', 'quantize-matmul'].map((surgery) => ({
      surgery,
      options: { method, bits: 4 },
    }));
    const recipe = { name: 'test', steps };
    const { errors } = await runRecipe(EXAMPLE, recipe, { output, measured: true });
    const { same, tensors, onlyInA, onlyInB } = await diff(EXAMPLE, output);
    expect({ same, onlyInA, onlyInB }).toEqual({ same: false, onlyInA: [], onlyInB: [] });
    const found = new Map(tensors.map(({ b, error }) => [b, error]));
    expect(errors).toHaveLength(29);
    for (const { tensor, bits, blockSize, ...error } of errors) {
      expect({ bits, blockSize }).toEqual({ bits: 4, blockSize: 32 });
      expect(found.get(tensor), tensor).toEqual(error);
    }
  });

  // numpy, in binary64, on the same bytes: sum of squared errors and of squares, largest error, worst block.
  const NUMPY = [
    ['layers.0.self_attn.q_proj', 4.08039329194666, 636.4429684620068, 0.04132080078125, 64, 239],
    ['layers.3.mlp.down_proj', 8.061300430722206, 1188.5764417939195, 0.03466796875, 250, 126],
  ] as const;
  const WORST = [
    [0.014515128319675129, 249, 0],
    [0.01626408778599119, 45, 64],
  ] as const;

  it('differ as numpy says', async () => {
    const output = `${scratch()}/out`;
    const steps = [{ surgery: 'quantize-matmul', options: { method: 'rtn', bits: 4 } }];
    await runRecipe(EXAMPLE, { name: 'test', steps }, { output });
    const { tensors } = await diff(EXAMPLE, output);
    for (const [index, [name, error, signal, largest, channel, element]] of NUMPY.entries()) {
      const found = tensors.find(({ a }) => a === `model.${name}.weight_t`)?.error;
      const [worst, worstChannel, worstElement] = WORST[index] ?? [];
      expect((found?.error ?? 0) / error).toBeCloseTo(1, 6);
      expect((found?.signal ?? 0) / signal).toBeCloseTo(1, 6);
      expect(found?.maxError).toEqual({ value: largest, channel, element });
      expect(found?.worstBlock).toMatchObject({ channel: worstChannel, element: worstElement });
      expect((found?.worstBlock?.relativeMse ?? 0) / (worst ?? 1)).toBeCloseTo(1, 6);
    }
  });

  it('are paired through other shapes of the graph: Gemm, Transpose, a tied table', async () => {
    const text = `
input ids: int64[rows]
input x: fp32[rows, 64]
output y: fp32[rows, 48]
output logits: fp32[rows, 96]
weight E: fp32[96, 64] = random(1)
weight W: fp32[48, 64] = random(2)
weight B: fp32[48] = random(3)
e = Gather(E, ids) @embed
y = Gemm(x, W, B) @project {transB: 1}
h = Transpose(E) @turn {perm: [1, 0]}
logits = MatMul(e, h) @head
`;
    const steps: Step[] = [
      ['quantize-embedding', { bits: 4 }],
      'tie-word-embeddings',
      'quantize-matmul',
    ];
    const { input, output } = await runText(scratch(), text, steps);
    const { tensors, onlyInA, onlyInB } = await diff(input, output);
    expect({ onlyInA, onlyInB }).toEqual({ onlyInA: [], onlyInB: [] });
    expect(tensors.map(({ a }) => a).sort()).toEqual(['E', 'W']);
    for (const { error } of tensors) expect(error?.snrDb).toBeGreaterThan(18);
  });
});

it.each(['columns', 'rows'])(
  'codes stand for the same behind DequantizeLinear (%s)',
  async (layout) => {
    const text = `
opset 21
input x: fp32[rows, 64]
output y: fp32[rows, 48]
weight W: fp32[64, 48] = random(2)
y = MatMul(x, W) @project
`;
    const [one, other] = [`${scratch()}/one`, `${scratch()}/other`];
    const { input, output } = await runText(one, text, ['quantize-matmul']);
    const turned = await runSteps(output, other, [['matmul-nbits-to-qdq', { layout }]]);
    const direct = (await diff(input, output)).tensors[0]?.error;
    expect(direct?.snrDb).toBeGreaterThan(15);
    expect((await diff(input, turned.output)).tensors[0]?.error).toEqual(direct);
    expect((await diff(output, turned.output)).tensors[0]?.error).toMatchObject({ relativeMse: 0 });
  },
);

describe('other tensors', () => {
  it('of another type are measured', async () => {
    const b = MODEL.replace('weight B: fp32[80] = random(3)', 'weight B: fp16[80] = random(3)');
    const { tensors } = await diff(write('a', MODEL), write('b', b));
    const [only, ...others] = tensors;
    expect(others).toEqual([]);
    expect(only).toMatchObject({ a: 'B', storedA: 'fp32 [80]', storedB: 'fp16 [80]' });
    expect(only?.error?.snrDb).toBeGreaterThan(60);
  });

  it('of other shapes, and those of one model alone, are named', async () => {
    const text = MODEL.replace('weight B: fp32[80] = random(3)', 'weight C: fp32[1] = random(3)');
    const report = await diff(
      write('a', MODEL),
      write('b', text.replace('Add(p, B)', 'Add(p, C)')),
    );
    expect(report).toMatchObject({ same: false, tensors: [], onlyInA: ['B'], onlyInB: ['C'] });
    expect(report.graph.changedNodes).toEqual([
      { name: 'bias', operatorA: 'Add', operatorB: 'Add', what: ['edges'] },
    ]);
  });

  it('of two architectures that share nothing are listed, not measured', async () => {
    const { same, tensors } = await diff(EXAMPLE, write('b', MODEL));
    expect({ same, tensors }).toEqual({ same: false, tensors: [] });
  });
});

describe('graphs', () => {
  it('differ by nodes, operators and interface', async () => {
    const text = MODEL.replace('y = Add(p, B) @bias', 'y = Sub(p, B) @bias').replace(
      'output e: fp32[rows, 96]',
      'output e: fp32[rows, width]',
    );
    const { graph, same } = await diff(write('a', MODEL), write('b', text));
    expect(same).toBe(false);
    expect(graph).toEqual({
      ...NO_GRAPH_DIFFERENCES,
      outputs: [{ name: 'e', a: 'fp32 [rows, 96]', b: 'fp32 [rows, width]' }],
      operators: [
        { name: 'Add', a: '1', b: undefined },
        { name: 'Sub', a: undefined, b: '1' },
      ],
      changedNodes: [{ name: 'bias', operatorA: 'Add', operatorB: 'Sub', what: ['operator'] }],
    });
  });
});
