import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import type { Layout } from '../../src/external-data/layout.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { type RunRecipeOptions, runRecipe } from '../../src/recipes/run-recipe.ts';
import { runBoth } from '../support/compare-runs.ts';
import { declaredFeeds, runModel, writeModel } from '../support/model-builder.ts';
import { printFile } from '../support/recipe-run.ts';
import { padDead, refer, scatter } from '../support/scattered-model.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { externalPlaces, tensorContents } from '../support/tensor-list.ts';

const scratch = useScratchDirectory();

const DECODER = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight E: fp32[1024, 64] = random(1)
weight U: fp32[64, 128] = random(2)
weight D: fp32[128, 64] = random(3)
weight n: fp32[64] = random(4)
weight s: int64[3] = list(0, 0, 64)
h = Gather(E, ids) @embed
u = MatMul(h, U) @up
d = MatMul(u, D) @down
r = Add(h, d)
q = Mul(r, n)
p = Reshape(q, s)
t = Transpose(E) {perm: [1, 0]}
logits = MatMul(p, t) @head
`;
const E_BYTES = 1024 * 64 * 4;
const U_BYTES = 64 * 128 * 4;

function repack(input: string, layout: Layout, options: RunRecipeOptions = {}) {
  const recipe = { name: 'repack', steps: [], layout };
  return runRecipe(input, recipe, {
    ...(options.inPlace === true ? {} : { output: scratch('out') }),
    threads: 2,
    memoryBytes: 2 ** 23,
    ...options,
  });
}

/** Repacks to a new directory and expects the same tensors and bit for bit the same outputs. */
async function repackSame(input: string, layout: Layout, options: RunRecipeOptions = {}) {
  const report = await repack(input, layout, options);
  const output = report.output.path ?? '';
  expect(tensorContents(output)).toEqual(tensorContents(input));
  await expectSameRun(input, output);
  const sizes = report.output.files.map(({ name }) => statSync(join(dirname(output), name)).size);
  expect(report.output.files.map(({ byteLength }) => byteLength)).toEqual(sizes);
  return { report, output, files: report.output.files.map(({ name }) => name) };
}

async function expectSameRun(input: string, output: string): Promise<void> {
  const { before, after } = await runBoth(input, output);
  expect(after).toEqual(before);
}

function sizeOf(path: string): number {
  return statSync(path).size;
}

describe('a new output', () => {
  it('has one data file without dead bytes', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const offsets: Record<string, number> = { U: 5000, E: 100_000, D: 900_001 };
    scatter(input, (name) => ['model.onnx.data', offsets[name] ?? 0], 77_777);
    const { output, files } = await repackSame(input, {});
    expect(files).toEqual(['model.onnx', 'model.onnx.data']);
    // In the order of the source; E is below 1 MiB.
    expect(externalPlaces(output)).toEqual({
      U: ['model.onnx.data', 0, U_BYTES],
      E: ['model.onnx.data', U_BYTES, E_BYTES],
      D: ['model.onnx.data', U_BYTES + E_BYTES, U_BYTES],
    });
    expect(sizeOf(`${output}.data`)).toBe(2 * U_BYTES + E_BYTES);
  });

  it('has zeros for padding', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const { output } = await repackSame(input, { align: 2 ** 19 });
    const data = readFileSync(`${output}.data`);
    expect(data.subarray(E_BYTES, 2 ** 19).every((byte) => byte === 0)).toBe(true);
    expect(Object.values(externalPlaces(output)).map(([, offset]) => offset % 2 ** 19)).toEqual([
      0, 0, 0,
    ]);
  });

  it.each<[string, (tensor: string) => string, string]>([
    ['one data file keeps its name', () => 'weights.bin', 'weights.bin'],
    ['in a directory too', () => 'data/weights.bin', 'data/weights.bin'],
    [
      'a series keeps the first name',
      (tensor) =>
        tensor === 'E' ? 'm.onnx_data' : tensor === 'U' ? 'm.onnx_data_1' : 'm.onnx_data_2',
      'm.onnx_data',
    ],
    ['a file for each tensor becomes one', (tensor) => `onnx__MatMul_${tensor}`, 'model.onnx.data'],
  ])('%s', async (_, data, name) => {
    const input = writeModel(scratch('in'), DECODER, { data });
    const { files } = await repackSame(input, {});
    expect(files).toEqual(['model.onnx', name]);
  });

  it('follows a new name of the model', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const { files } = await repackSame(input, {}, { output: scratch('out', 'small.onnx') });
    expect(files).toEqual(['small.onnx', 'small.onnx.data']);
    const named = { dataName: '{model}.onnx_data' };
    const other = await repackSame(input, named, { output: scratch('web', 'q4.onnx') });
    expect(other.files).toEqual(['q4.onnx', 'q4.onnx_data']);
  });

  it('is written although the input is laid out like that', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const first = await repackSame(input, {});
    const second = await repackSame(first.output, {}, { output: scratch('again') });
    expect(second.report.changed).toBe(true);
    for (const name of first.files) {
      expect(readFileSync(scratch('again', name))).toEqual(readFileSync(scratch('out', name)));
    }
  });

  it('is the same for any number of threads, any budget, and every way of reading', async () => {
    const input = writeModel(scratch('in'), DECODER);
    scatter(input, (name) => [
      'model.onnx.data',
      name === 'E' ? 3 : name === 'U' ? 400_000 : 600_000,
    ]);
    await repack(input, {}, { output: scratch('a'), threads: 1, memoryBytes: 2 ** 20, io: 'mmap' });
    await repack(input, {}, { output: scratch('b'), threads: 3 });
    for (const name of ['model.onnx', 'model.onnx.data']) {
      expect(readFileSync(scratch('a', name))).toEqual(readFileSync(scratch('b', name)));
    }
  });

  it('can be the end of a run of surgeries', async () => {
    const input = writeModel(scratch('in'), DECODER, { data: (name) => `${name}.bin` });
    const steps = [{ surgery: 'quantize-matmul', options: {} }];
    const layout = { dataName: 'all.bin', align: 256 };
    const report = await runRecipe(
      input,
      { name: 'both', steps, layout },
      { output: scratch('out') },
    );
    expect(report.output.files.map(({ name }) => name)).toEqual(['model.onnx', 'all.bin']);
    const places = Object.values(externalPlaces(report.output.path ?? ''));
    expect(places.length).toBeGreaterThan(4);
    expect(places.every(([, offset]) => offset % 256 === 0)).toBe(true);
    const plain = await runRecipe(input, { name: 'plain', steps }, { output: scratch('plain') });
    const outputs = [report, plain].map(({ output }) => output.path ?? '');
    await expectSameRun(outputs[0] ?? '', outputs[1] ?? '');
  });
});

describe('several data files', () => {
  it('are within the limit, never split a tensor, and have the names transformers.js asks for', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const layout = { dataName: '{model}.onnx_data', maxFileSize: 2 * U_BYTES };
    const { report, output } = await repackSame(input, layout);
    expect(report.output.files.slice(1)).toEqual([
      { name: 'model.onnx_data', byteLength: E_BYTES },
      { name: 'model.onnx_data_1', byteLength: 2 * U_BYTES },
    ]);
    expect(report.warnings).toEqual([
      'tensor "E" has 256 KiB, more than 64.0 KiB; it is in a file of its own, whole',
    ]);
    const back = await repackSame(output, {}, { output: scratch('back') });
    expect(back.files).toEqual(['model.onnx', 'model.onnx_data']);
  });

  it('are refused beyond a hundred, before anything is written', async () => {
    const weights = Array.from(
      { length: 101 },
      (_, i) => `weight w${i}: fp32[16, 16] = random(${i})`,
    );
    const sums = weights.map((_, i) => `x${i + 1} = Add(x${i}, w${i})`);
    const text = ['input x0: fp32[16, 16]', 'output x101: fp32[16, 16]', ...weights, ...sums];
    const input = writeModel(scratch('in'), text.join('\n'));
    const run = repack(input, { maxFileSize: 1024 });
    await expect(run).rejects.toBeInstanceOf(PreconditionError);
    await expect(run).rejects.toThrow(
      'files of at most 1.00 KiB would be 101, a model may have 100',
    );
    expect(readdirSync(scratch())).toEqual(['in']);
    const { report } = await repackSame(input, { maxFileSize: 2048 });
    expect(report.output.files).toHaveLength(52);
  });
});

describe('what stays in the .onnx', () => {
  it('is what is below the threshold', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const { output } = await repackSame(input, { inlineBelow: U_BYTES + 1 });
    expect(Object.keys(externalPlaces(output))).toEqual(['E']);
    const back = await repackSame(output, {}, { output: scratch('back') });
    expect(Object.keys(externalPlaces(back.output)).sort()).toEqual(['D', 'E', 'U']);
  });

  it('is also what shape inference reads, whatever the threshold', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const { output } = await repackSame(input, { inlineBelow: 0 });
    expect(Object.keys(externalPlaces(output)).sort()).toEqual(['D', 'E', 'U', 'n']);
    expect(externalPlaces(output)['n']?.[2]).toBe(256);
    // Back, from a data file that holds small tensors too.
    const back = await repackSame(output, {}, { output: scratch('back') });
    expect(Object.keys(externalPlaces(back.output)).sort()).toEqual(['D', 'E', 'U']);
  });

  it('never is what several tensors share: there it would be stored twice', async () => {
    const text = `${DECODER}weight C: fp32[64, 128] = copy(U)\noutput c\nc = Neg(C)`;
    const input = writeModel(scratch('in'), text);
    const places: Record<string, number> = { E: 0, U: E_BYTES, C: E_BYTES, D: E_BYTES + U_BYTES };
    scatter(input, (name) => ['model.onnx.data', places[name] ?? 0]);
    const { output, report } = await repackSame(input, { inlineBelow: U_BYTES + 1 });
    expect(report.aliases).toBe(1);
    expect(Object.keys(externalPlaces(output)).sort()).toEqual(['C', 'E', 'U']);
  });
});

describe('shared bytes', () => {
  it('stay shared', async () => {
    const text = `${DECODER}weight C: fp32[128, 64] = random(2)\noutput c\nc = Neg(C)`;
    const input = writeModel(scratch('in'), text);
    const places: Record<string, number> = { E: 0, U: E_BYTES, C: E_BYTES, D: E_BYTES + U_BYTES };
    scatter(input, (name) => ['model.onnx.data', places[name] ?? 0]);
    const { output, report } = await repackSame(input, { align: 512 });
    expect(report.aliases).toBe(1);
    const { U, C } = externalPlaces(output);
    expect(C).toEqual(U);
    expect(sizeOf(`${output}.data`)).toBe(E_BYTES + 2 * U_BYTES);
  });

  it('stay shared where ranges only overlap: the total does not grow', async () => {
    const text = `
input x: fp32[1, 64]
output y: fp32[1, 64]
weight A: fp32[64, 64] = fill(0.25)
weight B: fp32[32, 64] = fill(0.25)
weight C: fp32[48, 64] = fill(0.25)
weight Z: fp32[64, 64] = random(3)
a = MatMul(x, A)
b = Gather(B, i)
c = Gather(C, i)
weight i: int64[1] = list(31)
z = MatMul(a, Z)
s = Add(z, b)
y = Add(s, c)
`;
    const input = writeModel(scratch('in'), text);
    // B lies inside A, C begins in A and reaches beyond.
    const places: Record<string, number> = {
      A: 4096,
      B: 4096 + 16 * 256,
      C: 4096 + 32 * 256,
      Z: 40_960,
    };
    scatter(input, (name) => ['model.onnx.data', places[name] ?? 0], 10_000);
    const { output, report } = await repackSame(input, {});
    expect(report.aliases).toBe(2);
    expect(externalPlaces(output)).toEqual({
      A: ['model.onnx.data', 0, 64 * 256],
      B: ['model.onnx.data', 16 * 256, 32 * 256],
      C: ['model.onnx.data', 32 * 256, 48 * 256],
      Z: ['model.onnx.data', 80 * 256, 64 * 256],
    });
    expect(sizeOf(`${output}.data`)).toBe((80 + 64) * 256);
    const wide = await repack(input, { align: 16384 }, { output: scratch('wide') });
    expect(wide.warnings).toEqual([
      '2 tensors begin inside others, whose bytes they share, not at multiples of 16384',
    ]);
  });
});

describe('everything inside the .onnx', () => {
  it('and back gives what was there', async () => {
    const input = writeModel(scratch('in'), DECODER);
    const first = await repackSame(input, {}, { output: scratch('first') });
    const embedded = await repackSame(first.output, { embed: true });
    expect(embedded.files).toEqual(['model.onnx']);
    await repackSame(embedded.output, {}, { output: scratch('back') });
    for (const name of ['model.onnx', 'model.onnx.data']) {
      expect(readFileSync(scratch('back', name))).toEqual(readFileSync(scratch('first', name)));
    }
  });

  it('reshapes what shares bytes under other dimensions, and computes the same', async () => {
    const text = `${DECODER}weight C: fp32[128, 64] = random(2)\noutput c\nc = Neg(C)`;
    const input = writeModel(scratch('in'), text);
    const places: Record<string, number> = { E: 0, U: E_BYTES, C: E_BYTES, D: E_BYTES + U_BYTES };
    scatter(input, (name) => ['model.onnx.data', places[name] ?? 0]);
    const report = await repack(input, { embed: true });
    const output = report.output.path ?? '';
    expect(printFile(output)).toMatch(/ = Reshape\(U, C_shape\)/);
    await expectSameRun(input, output);
    expect(sizeOf(output)).toBeLessThan(E_BYTES + 2 * U_BYTES + 2000);
    const back = await repackSame(output, {}, { output: scratch('back') });
    expect(sizeOf(`${back.output}.data`)).toBe(E_BYTES + 2 * U_BYTES);
  });

  it('says how much cannot be shared there', async () => {
    const text = `${DECODER}weight C: fp32[32, 128] = random(2)\noutput c\nc = Neg(C)`;
    const input = writeModel(scratch('in'), text);
    const places: Record<string, number> = { E: 0, U: E_BYTES, C: E_BYTES, D: E_BYTES + U_BYTES };
    scatter(input, (name) => ['model.onnx.data', places[name] ?? 0]);
    const { report } = await repackSame(input, { embed: true });
    expect(report.warnings).toEqual([
      '16.0 KiB that tensors shared are stored twice: one file cannot share',
    ]);
  });

  it('is refused from 2 GiB on, before anything is written', async () => {
    const input = writeModel(
      scratch('in'),
      'input i: int64[1]\noutput y\nweight W: fp32[512] = random(1)\ny = Gather(W, i)',
      {
        edit: (_, graph) => {
          const [tensor] = graph.initializer ?? [];
          if (tensor) tensor.dims = [2 ** 29];
          if (tensor) refer(tensor, ['model.onnx.data', 0], 2 ** 31);
        },
      },
    );
    writeFileSync(`${input}.data`, '');
    truncateSync(`${input}.data`, 2 ** 31);
    const run = repack(input, { embed: true });
    await expect(run).rejects.toBeInstanceOf(PreconditionError);
    await expect(run).rejects.toMatchObject({
      message: expect.stringMatching(
        /^the model would have 2147483[67]\d\d bytes in one \.onnx file, protobuf ends at 2\^31-1$/,
      ),
      hint: 'keep the weights in external data',
    });
    expect(readdirSync(scratch())).toEqual(['in']);
  });
});

describe('every kind and place of tensors', () => {
  const FLOAT = 1;
  const STRING = 8;

  /** A model with an external tensor in each place ONNX has for one, and dead bytes all over its data file. */
  function writeEverywhere(): string {
    let end = 100;
    const pieces: { offset: number; bytes: Uint8Array }[] = [];
    const external = (name: string, dataType: number, dims: number[], byteLength: number) => {
      const tensor: onnx.ITensorProto = { name, dataType, dims };
      refer(tensor, ['model.onnx.data', end], byteLength);
      const bytes = Uint8Array.from({ length: byteLength }, (_, at) => (at * 7 + end) % 251);
      pieces.push({ offset: end, bytes });
      end += byteLength + 333;
      return tensor;
    };
    const floats = (name: string, count = 512) => external(name, FLOAT, [count], count * 4);
    const sparse = (name: string) => ({
      values: floats(name),
      indices: external('', 7, [2000], 16_000),
      dims: [100_000],
    });
    const constant = (output: string, attribute: onnx.IAttributeProto): onnx.INodeProto => ({
      opType: 'Constant',
      output: [output],
      attribute: [attribute],
    });
    const training: onnx.IGraphProto = {
      name: 'training',
      initializer: [floats('training')],
      node: [constant('step', { name: 'value', type: 4, t: floats('training constant') })],
    };
    const body: onnx.IGraphProto = {
      name: 'body',
      initializer: [floats('in a body')],
      output: [{ name: 'in a body' }],
    };
    const strings = Array.from({ length: 200 }, (_, at) => Buffer.from(`word ${at}`));
    const odd: [string, number, number, number][] = [
      ['uint4', 21, 4001, 2001],
      ['int2', 26, 5001, 1251],
      ['fp4', 23, 2049, 1025],
      ['fp6', 27, 2001, 1501],
      ['fp8', 17, 1500, 1500],
      ['bool', 9, 1200, 1200],
      ['complex128', 15, 100, 1600],
    ];
    const model: onnx.IModelProto = {
      irVersion: 14,
      opsetImport: [{ domain: '', version: 23 }],
      trainingInfo: [
        {
          initialization: training,
          algorithm: { node: [constant('b', { name: 'value', type: 4, t: floats('algorithm') })] },
        },
      ],
      functions: [
        {
          domain: 'local',
          name: 'F',
          output: ['o'],
          node: [constant('o', { name: 'value', type: 4, t: floats('in a function') })],
          opsetImport: [{ domain: '', version: 23 }],
          attributeProto: [{ name: 'default', type: 4, t: floats('a default') }],
        },
      ],
      graph: {
        name: 'main',
        output: [{ name: 'c' }],
        initializer: [
          ...odd.map(([name, dtype, count, byteLength]) =>
            external(name, dtype, [count], byteLength),
          ),
          external('nothing', FLOAT, [0, 4], 0),
          external('scalar', FLOAT, [], 4),
          { name: 'words', dataType: STRING, dims: [200], stringData: strings },
          {
            name: 'typed',
            dataType: FLOAT,
            dims: [500],
            floatData: Array.from({ length: 500 }, (_, at) => at / 8),
          },
          {
            name: 'halves',
            dataType: 10,
            dims: [600],
            int32Data: Array.from({ length: 600 }, (_, at) => at),
          },
          { name: 'raw', dataType: FLOAT, dims: [400], rawData: new Uint8Array(1600).fill(9) },
        ],
        sparseInitializer: [sparse('sparse')],
        node: [
          constant('c', { name: 'value', type: 4, t: floats('constant') }),
          constant('k', {
            name: 'sparse_value',
            type: 11,
            sparseTensor: sparse('sparse constant'),
          }),
          {
            opType: 'Custom',
            output: ['custom'],
            attribute: [
              {
                name: 'tables',
                type: 9,
                tensors: [floats('first of list'), floats('second of list')],
              },
              { name: 'sparse', type: 12, sparseTensors: [sparse('sparse list')] },
              { name: 'graph', type: 5, g: body },
            ],
          },
        ],
      },
    };
    const path = scratch('in', 'model.onnx');
    let data = padDead(new Uint8Array(), end);
    for (const { offset, bytes } of pieces) data.set(bytes, offset);
    data = padDead(data, end + 5000);
    writeModel(scratch('in'), 'input x: fp32[1]\noutput y\ny = Neg(x)');
    writeFileSync(path, onnx.ModelProto.encode(model).finish());
    writeFileSync(`${path}.data`, data);
    return path;
  }

  it.each<[string, Layout]>([
    ['one file', {}],
    ['packed', { align: 1, inlineBelow: 0 }],
    ['several files', { maxFileSize: 10_000, dataName: 'x' }],
    ['inside', { embed: true }],
    ['mostly inside', { inlineBelow: 3000 }],
  ])('keep their values: %s, and back', async (_, layout) => {
    const input = writeEverywhere();
    const before = tensorContents(input);
    expect(before.length).toBeGreaterThan(25);
    const report = await repack(input, layout);
    const output = report.output.path ?? '';
    expect(tensorContents(output)).toEqual(before);
    const places = externalPlaces(output);
    expect(places['nothing']).toBeUndefined();
    expect(places['words']).toBeUndefined();
    if (layout.embed !== true && layout.inlineBelow === undefined) {
      expect(Object.keys(places)).toEqual(
        expect.arrayContaining([
          'a default',
          'training',
          'sparse list',
          'in a body',
          'int2',
          'raw',
        ]),
      );
    }
    expect(report.output.byteLength).toBeLessThan(
      readdirSync(scratch('in')).reduce((sum, name) => sum + sizeOf(scratch('in', name)), 0),
    );
    const back = await repack(output, {}, { output: scratch('back') });
    expect(tensorContents(back.output.path ?? '')).toEqual(before);
  });
});

describe('options and names that cannot be', () => {
  it('are refused before the model is looked for', async () => {
    await expect(repack(scratch('nowhere'), { align: 3 })).rejects.toBeInstanceOf(UsageError);
  });

  it('a data file in the place of a model whose name has no extension', async () => {
    const input = writeModel(scratch('in'), DECODER, { name: 'weights', data: () => 'w.bin' });
    const run = repack(input, { dataName: 'weights' });
    await expect(run).rejects.toMatchObject({
      message: 'the data file weights would replace weights',
    });
    expect(readdirSync(scratch())).toEqual(['in']);
  });

  it('a data file in the place of another file of the package', async () => {
    const input = writeModel(scratch('in'), DECODER);
    writeFileSync(scratch('in', 'tokenizer.json'), '{}');
    const run = repack(input, { dataName: 'tokenizer.json' });
    await expect(run).rejects.toMatchObject({
      message: 'the data file tokenizer.json would replace tokenizer.json',
    });
    expect(readdirSync(scratch())).toEqual(['in']);
    const { files } = await repackSame(input, { dataName: 'tokenizer.json' }, { assets: false });
    expect(files).toEqual(['model.onnx', 'tokenizer.json']);
  });
});

it('feeds both sides alike', async () => {
  // What the comparisons above rest on: outputs are not all the same.
  const input = writeModel(scratch('in'), DECODER);
  const outputs = await runModel(input, await declaredFeeds(input));
  const logits = outputs.get('logits')?.data as Float32Array;
  expect(new Set(logits).size).toBeGreaterThan(100);
});
