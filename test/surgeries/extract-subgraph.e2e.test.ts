import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import type { HostTensor } from '../../src/evaluate/host-tensor.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import { cli } from '../support/cli.ts';
import {
  declaredFeeds,
  relativeError,
  runModel,
  type WriteModelOptions,
  writeModel,
} from '../support/model-builder.ts';
import { runSteps, runText, type TextRun } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

interface Cut {
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
}

let runs = 0;

function extract(text: string, cut: Cut, options: WriteModelOptions = {}): Promise<TextRun> {
  return runText(scratch(`run-${runs++}`), text, [['extract-subgraph', { ...cut }]], options);
}

/** Every value of the main graph as the whole model computes it, by name. */
async function everyValue(text: string): Promise<ReadonlyMap<string, HostTensor>> {
  const path = writeModel(scratch(`whole-${runs++}`), text, {
    edit: (_, graph) => {
      const outputs = new Set(graph.output?.map(({ name }) => name));
      for (const { output } of graph.node ?? []) {
        for (const name of output ?? []) {
          if (name !== '' && !outputs.has(name)) graph.output?.push({ name });
        }
      }
    },
  });
  const feeds = await declaredFeeds(path);
  return new Map([...Object.entries(feeds), ...(await runModel(path, feeds))]);
}

/** Expects the part to compute from some values of the whole what the whole computes. */
async function expectSame(text: string, { output }: TextRun): Promise<void> {
  const whole = await everyValue(text);
  using opened = openModel(output);
  const given = opened.model.graph.inputs.filter(({ tensor }) => tensor === undefined);
  const feeds = given.map(({ name }) => [name, whole.get(name) as HostTensor] as const);
  for (const [name, tensor] of await runModel(output, Object.fromEntries(feeds))) {
    expect(relativeError(tensor, whole.get(name) as HostTensor), name).toBe(0);
  }
}

function ends(path: string): { inputs: string[]; outputs: string[] } {
  using opened = openModel(path);
  const { inputs, outputs } = opened.model.graph;
  return { inputs: inputs.map(({ name }) => name), outputs: outputs.map(({ name }) => name) };
}

const LAYERS = `
input x: fp32[rows, 64]
input c: bool[]
output y: fp32[rows, 64]
value h1: fp32[rows, 64]
value h2: fp32[rows, 64]
value h3: fp32[rows, 64]
value flag: bool[]
value left: fp32[rows, 32]
weight A: fp32[64, 64] = random(1)
weight B: fp32[64, 64] = random(2)
weight C: fp32[64, 64] = random(3)
weight sizes: int64[2] = list(32, 32)
flag = Not(c)
h1 = MatMul(x, A) @first
left, right = Split(h1, sizes) @split {axis: 1}
joined = Concat(right, left) @join {axis: 1}
h2 = MatMul(joined, B) @second
h3 = If(flag) @branch
  then_branch:
    output t
    t = Add(h2, x)
  else_branch:
    output e
    e = MatMul(h2, C)
y = Neg(h3) @last
`;

describe('a part', () => {
  it('begins and ends in the middle, with the types that value_info states', async () => {
    const run = await extract(LAYERS, { inputs: ['h1'], outputs: ['h2'] });
    expect(run.report.steps[0]?.changes).toEqual([
      { node: 'main', what: '3 of 7 nodes, from "h1" to "h2"' },
    ]);
    expect(run.printed).toBe(`opset 21
opset com.microsoft 1
input h1: fp32[rows, 64]
output h2: fp32[rows, 64]
value left: fp32[rows, 32]
weight B: fp32[64, 64]
weight sizes: int64[2] = list(32, 32)
left, right = Split(h1, sizes) @split {axis: 1}
joined = Concat(right, left) @join {axis: 1}
h2 = MatMul(joined, B) @second
`);
    expect(run.report.output.files[1]?.byteLength).toBe(64 * 64 * 4);
    await expectSame(LAYERS, run);
  });

  it('needs what bodies read from outside', async () => {
    const run = await extract(LAYERS, { inputs: ['h2', 'x', 'c'], outputs: ['h3'] });
    expect(ends(run.output).inputs).toEqual(['h2', 'x', 'c']);
    expect(run.printed).toContain('weight C');
    await expectSame(LAYERS, run);
  });

  it('has the outputs in the order they were asked for, and the inputs the model has', async () => {
    const run = await extract(LAYERS, { outputs: ['joined', 'h1'] });
    expect(ends(run.output)).toEqual({ inputs: ['x'], outputs: ['joined', 'h1'] });
    expect(run.report.warnings).toEqual([
      'no type is stated for the output "joined"; runtimes have to infer it',
    ]);
    await expectSame(LAYERS, run);
  });

  it('keeps a node of which one result is given and another is needed', async () => {
    const run = await extract(LAYERS, { inputs: ['x', 'left'], outputs: ['h2'] });
    expect(run.printed).toContain('left_unused, right = Split(h1, sizes)');
    await expectSame(LAYERS, run);
  });

  it('takes a weight as an input, without its bytes', async () => {
    const run = await extract(LAYERS, { inputs: ['x', 'A'], outputs: ['h1'] });
    expect(run.printed).toContain('input A: fp32[64, 64]');
    expect(run.report.output.byteLength).toBeLessThan(1024);
    const again = await runText(scratch('again'), LAYERS, [
      ['extract-subgraph', { outputs: ['h1'] }],
    ]);
    expect(ends(again.output).inputs).toEqual(['x']);
    const feeds = await declaredFeeds(run.output);
    expect((await runModel(run.output, feeds)).get('h1')?.dims).toEqual([4, 64]);
  });

  it('hands on what it is given', async () => {
    const run = await extract(LAYERS, { inputs: ['h1', 'h2'], outputs: ['h1', 'joined'] });
    expect(run.report.warnings[0]).toBe('no output needs "h2"; it is an input all the same');
    await expectSame(LAYERS, run);
  });

  it('is the whole of a model that was extracted with the same words before', async () => {
    const cut = { inputs: ['left', 'x'], outputs: ['h2'] };
    const run = await extract(LAYERS, cut);
    const again = await runSteps(run.output, scratch('again'), [['extract-subgraph', cut]]);
    expect(again.report.changed).toBe(false);
  });
});

it('computes what the whole does, wherever it is cut', async () => {
  const size = 8;
  const operations = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: size, maxLength: size });
  const choice = fc.uniqueArray(fc.nat(size), { minLength: 1, maxLength: 3 });
  const text = (sources: readonly (readonly [number, number])[]) =>
    [
      'input v0: fp32[4]',
      `output v${size}: fp32[4]`,
      'weight w: fp32[4] = random(1)',
      ...sources.map((_, index) => `value v${index + 1}: fp32[4]`).slice(0, -1),
      ...sources.map(([a, b], index) => {
        const from = (choose: number) => ['w', ...range(index + 1)][choose % (index + 2)];
        return `v${index + 1} = Sub(${from(a)}, ${from(b)})`;
      }),
    ].join('\n');
  await fc.assert(
    fc.asyncProperty(operations, choice, choice, async (sources, from, to) => {
      const model = text(sources);
      const cut = { inputs: from.map((i) => `v${i}`), outputs: to.map((i) => `v${i}`) };
      const run = await extract(model, cut).catch((error: unknown) => {
        if (error instanceof PreconditionError) return undefined;
        throw error;
      });
      // Only the input of the model itself can be missing.
      if (run === undefined) expect(cut.inputs).not.toContain('v0');
      else if (run.report.changed) await expectSame(model, run);
    }),
    { numRuns: 25 },
  );
});

function range(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `v${index}`);
}

describe('what else belongs to the model', () => {
  const text = `
input x: fp32[rows, 64]
input scale: fp32[64]
output y: fp32[rows, 64]
output z: fp32[rows, 64]
value h: fp32[rows, 64]
weight scale: fp32[64] = random(1)
weight step: fp32[1] = random(2)
weight other_step: fp32[1] = random(3)
h = Mul(x, scale)
y = Neg(h)
z = local.Layer(h)
function local.Layer(x) -> z
  z = Abs(x)
`;

  it('goes with what it is about: annotations, sparse initializers, functions', async () => {
    const run = await extract(
      text,
      { outputs: ['y'] },
      {
        edit: (_, graph) => {
          graph.quantizationAnnotation = ['h', 'z'].map((tensorName) => ({
            tensorName,
            quantParameterTensorNames: [
              { key: 'SCALE_TENSOR', value: tensorName === 'h' ? 'step' : 'other_step' },
            ],
          }));
          graph.sparseInitializer = [
            {
              values: { name: 'sparse', dataType: 1, dims: [1], floatData: [1] },
              indices: { dataType: 7, dims: [1], int64Data: [0] },
              dims: [4],
            },
          ];
        },
      },
    );
    using opened = openModel(run.output);
    const { graph, functions } = opened.model.proto;
    expect(functions).toEqual([]);
    expect(graph?.sparseInitializer ?? []).toEqual([]);
    expect(graph?.quantizationAnnotation?.map(({ tensorName }) => tensorName)).toEqual(['h']);
    expect([...opened.model.graph.initializers.keys()]).toEqual(['scale', 'step']);
    await expectSame(text, run);
  });

  it('stays when it can be left out by who calls the model', async () => {
    const run = await extract(text, { inputs: ['x'], outputs: ['h'] });
    expect(ends(run.output).inputs).toEqual(['x', 'scale']);
    const cut = await extract(text, { inputs: ['h'], outputs: ['z'] });
    expect(ends(cut.output).inputs).toEqual(['h']);
    await expectSame(text, cut);
  });

  it('is left out with a word when it is training', async () => {
    const run = await extract(
      text,
      { outputs: ['y'] },
      {
        edit: (proto) => {
          proto.trainingInfo = [{ algorithm: { name: 'step' } }];
        },
      },
    );
    expect(run.report.warnings).toEqual([
      'training information is left out: it is about the whole model',
    ]);
    using opened = openModel(run.output);
    expect(opened.model.proto.trainingInfo ?? []).toEqual([]);
  });
});

describe('what is refused', () => {
  const refused = async (cut: Cut, text = LAYERS): Promise<unknown> =>
    extract(text, cut).then(
      () => 'nothing',
      (error: unknown) => error,
    );

  it('is an output that needs more than the inputs', async () => {
    const error = await refused({ inputs: ['h2'], outputs: ['h3'] });
    expect(error).toBeInstanceOf(PreconditionError);
    expect(error).toMatchObject({
      message: 'extract-subgraph: the outputs need "x", "c" too, which the inputs leave out',
      hint: 'write inputs=h2|x|c, or cut closer to the outputs',
    });
  });

  it('is an input without a type', async () => {
    const error = await refused({ inputs: ['joined', 'right'], outputs: ['h2'] });
    expect(error).toBeInstanceOf(PreconditionError);
    expect(error).toMatchObject({
      message:
        'extract-subgraph: no type is stated for "joined", "right", and an input has to have one',
    });
  });

  it('is a name that the main graph does not have', async () => {
    const unknown = await refused({ outputs: ['h22'] });
    expect(unknown).toBeInstanceOf(UsageError);
    expect(unknown).toMatchObject({
      message: 'extract-subgraph: the model has no value "h22"',
      hint: 'did you mean "h2"?',
    });
    const inner = await refused({ outputs: ['t'] });
    expect(inner).toBeInstanceOf(PreconditionError);
    expect(inner).toMatchObject({
      message: 'extract-subgraph: "t" is a value of the body "then_branch"',
    });
  });

  it('is a list that says nothing or says something twice', async () => {
    expect(await refused({})).toMatchObject({
      message: 'surgery extract-subgraph needs inputs, outputs, or both',
    });
    expect(await refused({ outputs: ['y', 'y'] })).toMatchObject({
      message: 'surgery extract-subgraph: outputs has "y" twice',
    });
  });
});

it('runs from the command line', () => {
  const path = writeModel(scratch('model'), LAYERS);
  const step = 'extract-subgraph:inputs=h2|x|c,outputs=y';
  const args = ['apply', path, '-o', scratch('out'), '--surgery', step];
  expect(cli(args)).toMatchObject({
    status: 0,
    stderr: 'extract-subgraph: main: 3 of 7 nodes, from "h2", "x", "c" to "y"\n',
  });
  expect(ends(join(scratch('out'), 'model.onnx')).inputs).toEqual(['h2', 'x', 'c']);
  const missing = cli(['apply', path, '-n', '--surgery', 'extract-subgraph:inputs=h2,outputs=y']);
  expect(missing.status).toBe(4);
});
