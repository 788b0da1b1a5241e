import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  CancelledError,
  LatheError,
  PreconditionError,
  ResourceError,
  UsageError,
} from '../../src/errors.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import { NAMED_RECIPES } from '../../src/recipes/named.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { expectClose } from '../support/compare-runs.ts';
import {
  declaredFeeds,
  runModel,
  type WriteModelOptions,
  writeModel,
} from '../support/model-builder.ts';
import { fileSizes, isTied, runSteps, runText, type Step, stepsOf } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const DECODER = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight E: fp32[1024, 64] = random(1)
weight U: fp32[64, 128] = random(2)
weight D: fp32[128, 64] = random(3)
weight n: fp32[64] = random(4)
h = Gather(E, ids) @embed
u = MatMul(h, U) @up
d = MatMul(u, D) @down
r = Add(h, d)
s = Mul(r, n)
t = Transpose(E) {perm: [1, 0]}
logits = MatMul(s, t) @head
`;

const SMALL: readonly Step[] = [
  ['quantize-embedding', { bits: 4 }],
  'tie-word-embeddings',
  'quantize-matmul',
  'remove-unused',
];

async function failure(run: Promise<unknown>): Promise<LatheError> {
  const error = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof LatheError) return error;
  throw error ?? new Error('nothing was thrown');
}

/** Everything below the directory of the test, so that a staging directory left behind shows. */
function everything(): string[] {
  return readdirSync(scratch(), { recursive: true }).map(String).sort();
}

describe('a dry run', () => {
  it.each([
    ['a directory', 'out', {}],
    ['a file of another name', 'out/small.onnx', {}],
    ['one file', 'out', { data: null }],
    ['several data files', 'out/x.onnx', { data: (name: string) => `${name}.bin` }],
  ] as const)('says what a run to %s then does', async (_, target, storage) => {
    const input = writeModel(scratch('in'), DECODER, storage);
    const dry = await runSteps(input, scratch(target), SMALL, { dryRun: true });
    expect(readdirSync(scratch())).toEqual(['in']);
    const { report, output } = await runSteps(input, scratch(target), SMALL);
    const {
      dryRun,
      bytesRead,
      bytesWritten,
      seconds,
      peakRssBytes,
      freeDiskBytes,
      output: written,
      ...rest
    } = report;
    expect(dry.report).toMatchObject({ ...rest, dryRun: true, bytesWritten: 0 });
    expect(dry.report.output).toEqual({ ...written, path: scratch(target) });
    expect(fileSizes(report, scratch('out'))).toEqual(
      Object.fromEntries(written.files.map((file) => [file.name, file.byteLength])),
    );
    expect(bytesWritten).toBeGreaterThan(0);
    expect(dryRun).toBe(false);
    expect(bytesRead).toBeGreaterThan(0);
    expect(seconds).toBeGreaterThan(0);
    expect(peakRssBytes).toBeGreaterThan(0);
    expect(freeDiskBytes).toBeGreaterThan(0);
    expect(existsSync(output)).toBe(true);
  });

  it('needs no output', async () => {
    const input = writeModel(scratch(), DECODER);
    const recipe = { name: 'test', steps: stepsOf(SMALL) };
    const report = await runRecipe(input, recipe, { dryRun: true });
    expect(report.output.path).toBeUndefined();
    expect(report.output.files.map(({ name }) => name)).toEqual(['model.onnx', 'model.onnx.data']);
    expect(everything()).toEqual(['model.onnx', 'model.onnx.data']);
  });
});

describe('the output', () => {
  it('is not written when nothing changes', async () => {
    const { report } = await runText(
      scratch(),
      'input x: fp32[4]\noutput y: fp32[4]\ny = Neg(x)',
      SMALL,
    );
    expect(report.changed).toBe(false);
    expect(report.bytesWritten).toBe(0);
    expect(report.steps.map(({ declined }) => declined.length)).toEqual([1, 1, 0, 0]);
    expect(readdirSync(scratch())).toEqual(['in']);
  });

  it('takes over names of data files, and follows a new name of the model', async () => {
    const input = writeModel(scratch('in'), DECODER);
    await runSteps(input, scratch('same'), SMALL);
    expect(readdirSync(scratch('same')).sort()).toEqual(['model.onnx', 'model.onnx.data']);
    const { output } = await runSteps(input, scratch('other', 'small.onnx'), SMALL);
    expect(readdirSync(scratch('other')).sort()).toEqual(['small.onnx', 'small.onnx.data']);
    await expectClose({ input, output }, 0.5);
  });

  it('keeps tensors in the data file they came from, in directories too', async () => {
    const data = (name: string) => (name === 'E' ? 'weights/embed.bin' : 'body.data');
    const input = writeModel(scratch('in'), DECODER, { data });
    const { output, report } = await runSteps(input, scratch('out'), SMALL);
    expect(report.output.files.map(({ name }) => name)).toEqual([
      'model.onnx',
      'weights/embed.bin',
      'body.data',
    ]);
    using opened = openModel(output);
    const location = (name: string) =>
      opened.model.graph.initializers.get(name)?.tensor?.proto.externalData?.[0]?.value;
    expect(location('E_Q4')).toBe('weights/embed.bin');
    expect(location('U_Q4')).toBe('body.data');
    await expectClose({ input, output }, 0.5);
  });

  it('can have a data file whose name is that of the new model', async () => {
    const input = writeModel(scratch('in'), DECODER, { data: () => 'b.onnx' });
    const { output } = await runSteps(input, scratch('out', 'b.onnx'), SMALL);
    await expectClose({ input, output }, 0.5);
  });

  it('does not depend on threads, memory or the way files are read', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const runs = [
      { threads: 1, memoryBytes: 2 ** 20, io: 'pread' },
      { threads: 3, memoryBytes: 64 * 2 ** 20, io: 'mmap' },
    ] as const;
    const files = [];
    for (const [index, options] of runs.entries()) {
      const { output } = await runSteps(input, scratch(`out${index}`), SMALL, options);
      files.push([readFileSync(output), readFileSync(`${output}.data`)]);
    }
    expect(files[0]).toEqual(files[1]);
  });

  it('reports bits per weight of what is stored', async () => {
    const { report } = await runText(scratch(), DECODER, SMALL);
    const weights = 1024 * 64 + 2 * 64 * 128;
    expect(report.weights).toBe(weights);
    const tables = [...report.tensors].filter(
      ({ isDerived, name }) => isDerived && !name.endsWith('_blocks'),
    );
    const bytes = tables.reduce((sum, { byteLength }) => sum + byteLength, 64 * 4);
    expect(report.bitsPerWeight).toBeCloseTo((bytes * 8) / weights, 10);
  });
});

describe('a model in one file', () => {
  it('stays in one file, ties through a Reshape, and computes what the tie over one range does', async () => {
    const embedded = await runText(scratch('one'), DECODER, SMALL, { data: null });
    const external = await runText(scratch('two'), DECODER, SMALL);
    expect(embedded.report.output.files).toHaveLength(1);
    expect(embedded.printed).toMatch(/= Reshape\(E_Q4, E_Q4_blocks_shape\)/);
    expect(external.printed).not.toContain('Reshape');
    expect(isTied(embedded.output)).toBe(true);
    const feeds = await declaredFeeds(external.input);
    const [a, b] = [await runModel(embedded.output, feeds), await runModel(external.output, feeds)];
    expect(a.get('logits')?.data).toEqual(b.get('logits')?.data);
    const again = await runSteps(embedded.output, scratch('again'), SMALL);
    expect(again.report.changed).toBe(false);
  });

  it('gives one weight of a lookup and a product one table', async () => {
    const steps = ['quantize-matmul', ['quantize-embedding', { bits: 4 }]] as const;
    const result = await runText(scratch(), DECODER, steps, { data: null });
    expect(result.printed.match(/^weight E_\w*Q4\w*: uint8/gm)).toHaveLength(1);
    expect(result.printed.match(/^weight E_\w*scales\w*: fp32/gm)).toHaveLength(1);
    expect(result.printed.match(/ = Reshape\(/g)).toHaveLength(1);
    await expectClose(result, 0.5);
  });
});

describe('named recipes', () => {
  const untied = DECODER.replace('t = Transpose(E) {perm: [1, 0]}', '').replace(
    'MatMul(s, t)',
    'MatMul(s, H)',
  );
  const bodies = {
    q4: 4,
    'q4-small': 4,
    'q4-mixed': 4,
    q8: 8,
    'int8-embedding': undefined,
  } as const;
  const heads = { q4: 8, 'q4-small': 4, 'q4-mixed': 8, q8: 8, 'int8-embedding': 8 } as const;

  it.each(NAMED_RECIPES.map((recipe) => recipe.name as keyof typeof bodies))('%s', async (name) => {
    const steps = NAMED_RECIPES.find((recipe) => recipe.name === name)?.steps ?? [];
    for (const [kind, text] of [
      ['tied', DECODER],
      ['untied', `${untied}weight H: fp32[64, 1024] = random(9)\n`],
    ] as const) {
      const list = steps.map(({ surgery, options }) => [surgery, options] as const);
      const result = await runText(scratch(kind), text, list);
      expect(isTied(result.output)).toBe(kind === 'tied');
      const bitsOf = (output: string) =>
        Number(
          new RegExp(`^${output} = com.microsoft.*bits: (\\d)`, 'm').exec(result.printed)?.[1],
        );
      expect(bitsOf('h')).toBe(heads[name]);
      expect(bitsOf('logits')).toBe(heads[name]);
      expect(bitsOf('u')).toBe(bodies[name] ?? Number.NaN);
      expect(bitsOf('d')).toBe(bodies[name] ?? Number.NaN);
      await expectClose(result, bodies[name] === 8 || bodies[name] === undefined ? 0.1 : 0.6);
    }
  });
});

describe('a run that fails leaves nothing', () => {
  const write = (options: WriteModelOptions = {}) => writeModel(scratch('in'), DECODER, options);
  const before = ['in', join('in', 'model.onnx'), join('in', 'model.onnx.data')];

  it.each([
    ['a NaN', Number.NaN],
    ['an infinity', Number.NEGATIVE_INFINITY],
  ])('for %s in a weight, naming its place', async (_, value) => {
    const fill = {
      // U is [64, 128]: element 7 of channel 100.
      U: ({ bytes }: { bytes: Uint8Array }) =>
        new DataView(bytes.buffer).setFloat32((7 * 128 + 100) * 4, value, true),
    };
    const input = write({ fill });
    for (const threads of [1, 2]) {
      const error = await failure(runSteps(input, scratch('out'), SMALL, { threads }));
      expect(error).toBeInstanceOf(PreconditionError);
      expect(error.code).toBe('ERR_NON_FINITE');
      expect(error.message).toBe(
        'the source of "U_Q4" has a NaN, an infinity or a number beyond 2^127 at channel 100, element 7',
      );
      expect(everything()).toEqual(before);
    }
  });

  const COPIES = `${DECODER.replace('t = Transpose(E) {perm: [1, 0]}', 'weight C: fp32[1024, 64] = copy(E)\nt = Transpose(C)')}`;

  it.each(['comparing', 'writing'] as const)('when it is cancelled while %s', async (wanted) => {
    const input = writeModel(scratch('in'), COPIES);
    const stop = new AbortController();
    const phases: string[] = [];
    const error = await failure(
      runSteps(input, scratch('out'), SMALL, {
        signal: stop.signal,
        onProgress: (phase) => {
          phases.push(phase);
          if (phase === wanted) stop.abort();
        },
      }),
    );
    expect(error).toBeInstanceOf(CancelledError);
    expect(phases.at(-1)).toBe(wanted);
    expect(everything()).toEqual(before);
  });

  it('when it is cancelled before it begins', async () => {
    const input = write();
    const error = await failure(
      runSteps(input, scratch('out'), SMALL, { signal: AbortSignal.abort() }),
    );
    expect(error).toBeInstanceOf(CancelledError);
    expect(everything()).toEqual(before);
  });

  it('when there was nothing to move', async () => {
    const input = writeModel(
      scratch('in'),
      'input x: fp32[2]\nweight w: fp32[2]\noutput y: fp32[2]\ny = Add(x, w)',
    );
    const started: string[] = [];
    const error = await failure(
      runRecipe(
        input,
        { name: 'repack', steps: [], layout: {} },
        {
          output: scratch('out'),
          signal: AbortSignal.abort(),
          onProgress: (phase) => started.push(phase),
        },
      ),
    );
    expect(error).toBeInstanceOf(CancelledError);
    expect(started).toEqual([]);
  });

  it('when the input grows meanwhile', async () => {
    const input = write();
    const error = await failure(
      runSteps(input, scratch('out'), SMALL, {
        onProgress: () => appendFileSync(`${input}.data`, 'x'),
      }),
    );
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.code).toBe('ERR_CHANGED');
    expect(everything()).toEqual(before);
  });

  it('when the input is touched meanwhile', async () => {
    const input = write();
    const error = await failure(
      runSteps(input, scratch('out'), SMALL, {
        onProgress: () => utimesSync(input, new Date(0), new Date(0)),
      }),
    );
    expect(error.code).toBe('ERR_CHANGED');
    expect(everything()).toEqual(before);
  });

  it('when the output exists, before any work', async () => {
    const input = write();
    writeFileSync(scratch('out.onnx'), 'mine');
    const error = await failure(runSteps(input, scratch('out.onnx'), SMALL));
    expect(error).toBeInstanceOf(UsageError);
    expect(readFileSync(scratch('out.onnx'), 'utf8')).toBe('mine');
  });

  it('for an unknown surgery, before the model is looked for', async () => {
    const error = await failure(runSteps(scratch('nowhere.onnx'), scratch('out'), ['shrink']));
    expect(error.code).toBe('ERR_UNKNOWN_NAME');
  });
});

describe('what it accepts', () => {
  it('nodes in another order than ONNX wants, as ONNX Runtime does', async () => {
    const lines = DECODER.trim().split('\n');
    const text = [...lines.slice(0, 6), ...lines.slice(6).reverse()].join('\n');
    const result = await runText(scratch(), text, ['quantize-matmul']);
    expect(result.report.changed).toBe(true);
    await expectClose(result, 0.5);
  });

  it('weights that are also inputs, left alone with the reason', async () => {
    const text = `
ir 3
opset 13
input x: fp32[rows, 64]
input W: fp32[64, 64]
output y: fp32[rows, 64]
weight W: fp32[64, 64] = random(1)
y = MatMul(x, W) @layer
`;
    const { declined, report } = await runText(scratch(), text, ['quantize-matmul']);
    expect(declined).toEqual([
      'its weight "W" is also an input of the graph, which a caller may replace',
    ]);
    expect(report.changed).toBe(false);
  });

  it('weights in functions, which stay Constant nodes, in data files too', async () => {
    const text = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
y = local.Layer(x)
function local.Layer(a) -> b
  const W: fp32[64, 64] = random(1)
  b = MatMul(a, W)
`;
    const result = await runText(scratch(), text, ['quantize-matmul']);
    expect(result.declined).toEqual([]);
    expect(result.printed).toContain('const W_Q4: uint8[64, 2, 16]');
    const embedded = await runText(scratch('one'), text, ['quantize-matmul'], { data: null });
    await expectClose(result, 0.12);
    await expectClose(embedded, 0.12);
  });
});
