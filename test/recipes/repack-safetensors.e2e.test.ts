import { copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import type { Layout } from '../../src/external-data/layout.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { checkModel } from '../../src/report/check.ts';
import { inspectModel } from '../../src/report/inspect.ts';
import { declaredFeeds, runModel, writeModel } from '../support/model-builder.ts';
import { initializerBytes, stepsOf } from '../support/recipe-run.ts';
import { readSafetensors } from '../support/safetensors.ts';
import { refer } from '../support/scattered-model.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { tensorContents } from '../support/tensor-list.ts';

const scratch = useScratchDirectory();

const SAFETENSORS = { dataFormat: 'safetensors' } as const;

/** Sizes that are not multiples of what tensors start at, one name twice, and a table of a MiB. */
const MODEL = `
input x: fp32[4, 33]
input c: bool[]
output z: fp32[4, 33]
weight A: fp32[33, 33] = random(1)
weight B: fp32[33, 8000] = random(2)
weight D: fp32[8000, 33] = random(3)
h = MatMul(x, A)
m = MatMul(h, B) @wide
y = MatMul(m, D)
z = If(c)
  then_branch:
    output a
    weight W: fp32[33, 33] = random(4)
    a = MatMul(y, W)
  else_branch:
    output b
    weight W: fp32[33, 33] = random(5)
    b = MatMul(y, W)
`;

function repack(path: string, output: string | undefined, layout: Layout = SAFETENSORS) {
  const recipe = { name: 'repack', steps: [], layout };
  return runRecipe(path, recipe, { output, inPlace: output === undefined, threads: 1 });
}

/** Whether a file has these bytes. */
function isSame(path: string, bytes: Buffer): boolean {
  return readFileSync(path).equals(bytes);
}

/** Makes initializer `alias` refer to the bytes of `of`. */
function share(alias: string, of: string) {
  return (_: onnx.IModelProto, graph: onnx.IGraphProto) => {
    const find = (name: string) =>
      graph.initializer?.find((tensor) => tensor.name === name) as onnx.ITensorProto;
    find(alias).externalData = find(of).externalData ?? [];
  };
}

describe('a model repacked as safetensors', () => {
  it('computes the same, and its data is a file that readers of safetensors take', async () => {
    const input = writeModel(scratch('in'), MODEL);
    const { output } = await repack(input, scratch('out'));
    expect(readdirSync(scratch('out')).sort()).toEqual(['model.onnx', 'model.safetensors']);
    const path = scratch('out', 'model.onnx');
    expect(tensorContents(path)).toEqual(tensorContents(input));
    const feeds = await declaredFeeds(input);
    expect(await runModel(path, feeds)).toEqual(await runModel(input, feeds));

    const { entries, metadata, dataStart, bytes, data } = readSafetensors(
      scratch('out', 'model.safetensors'),
    );
    expect(metadata).toEqual({ format: 'onnx' });
    expect([...entries.keys()]).toEqual([
      'A',
      '__padding_1',
      'B',
      '__padding_2',
      'D',
      'W.2',
      '__padding_4',
      'W',
    ]);
    expect(entries.get('B')).toMatchObject({ dtype: 'F32', shape: [33, 8000] });
    expect(bytes('A').equals(initializerBytes(input, 'A'))).toBe(true);
    for (const [name, entry] of entries) {
      const [begin, end] = entry.data_offsets;
      if (!name.startsWith('__padding')) {
        expect(begin % (end - begin < 2 ** 20 ? 256 : 4096), name).toBe(0);
      } else {
        expect(bytes(name).every((byte) => byte === 0)).toBe(true);
      }
    }
    expect(dataStart).toBe(4096);
    expect(output.files[1]).toEqual({ name: 'model.safetensors', byteLength: 4096 + data.length });
    expect((await checkModel(path)).findings).toEqual([]);
    const { deadBytes, headerBytes } = inspectModel(path).files[1] ?? {};
    const paddings = [...entries].filter(([name]) => name.startsWith('__padding'));
    const padding = paddings.reduce((sum, [, { shape }]) => sum + (shape[0] ?? 0), 0);
    expect([headerBytes, deadBytes]).toEqual([4096, padding]);
  });

  it('needs no fillers when nothing is to be aligned', async () => {
    await repack(writeModel(scratch('in'), MODEL), scratch('out'), { ...SAFETENSORS, align: 1 });
    const { entries } = readSafetensors(scratch('out', 'model.safetensors'));
    expect([...entries.keys()]).toEqual(['A', 'B', 'D', 'W.2', 'W']);
  });

  it('keeps its format and is recognized when it is laid out already', async () => {
    await repack(writeModel(scratch('in'), MODEL), scratch('out'));
    const path = scratch('out', 'model.onnx');
    const data = scratch('out', 'model.safetensors');
    const before = readFileSync(data);
    for (const layout of [{}, SAFETENSORS, { dataName: 'model.safetensors' }]) {
      expect(await repack(path, undefined, layout)).toMatchObject({ changed: false });
    }
    expect((await repack(path, scratch('again'), {})).changed).toBe(true);
    expect(isSame(scratch('again', 'model.safetensors'), before)).toBe(true);

    // Another header of the same length, with the same places, is not that of this model.
    writeFileSync(data, before.toString('latin1').replace('"A"', '"Z"'), 'latin1');
    expect(await repack(path, undefined)).toMatchObject({
      changed: true,
      output: { removed: ['model.safetensors'] },
    });
    expect(readdirSync(scratch('out')).sort()).toEqual(['model.1.safetensors', 'model.onnx']);
    expect(isSame(scratch('out', 'model.1.safetensors'), before)).toBe(true);
    expect(await repack(path, undefined)).toMatchObject({ changed: false });
  });

  it('goes to several files, called as on Hugging Face, and comes back', async () => {
    const input = writeModel(scratch('in'), MODEL);
    const report = await repack(input, scratch('out'), { ...SAFETENSORS, maxFileSize: 1_100_000 });
    const names = [1, 2].map((index) => `model-0000${index}-of-00002.safetensors`);
    expect(report.output.files.slice(1).map(({ name }) => name)).toEqual(names);
    expect(report.warnings).toEqual([]);
    for (const name of names) {
      expect(statSync(scratch('out', name)).size).toBeLessThanOrEqual(1_100_000);
      readSafetensors(scratch('out', name));
    }
    const path = scratch('out', 'model.onnx');
    expect((await checkModel(path)).findings).toEqual([]);
    expect(await repack(path, undefined, { maxFileSize: 1_100_000 })).toMatchObject({
      changed: false,
    });
    await repack(path, scratch('one'), {});
    expect(readdirSync(scratch('one')).sort()).toEqual(['model.onnx', 'model.safetensors']);
    await repack(path, scratch('back'), { dataFormat: 'raw' });
    expect(readdirSync(scratch('back')).sort()).toEqual(['model.onnx', 'model.onnx.data']);
    expect(tensorContents(scratch('back', 'model.onnx'))).toEqual(tensorContents(input));
  });

  it('says that a tensor alone is more than a file may have', async () => {
    const layout = { ...SAFETENSORS, maxFileSize: 1_057_000 };
    const { warnings } = await repack(writeModel(scratch('in'), MODEL), scratch('out'), layout);
    expect(warnings).toEqual([
      'model-00002-of-00004.safetensors has 1.01 MiB with a single tensor, which is not split',
      'model-00003-of-00004.safetensors has 1.01 MiB with a single tensor, which is not split',
    ]);
  });

  it('writes shared bytes again, and says how many', async () => {
    const input = writeModel(
      scratch('in'),
      MODEL.replace('8000, 33', '33, 8000').replace(
        'y = MatMul(m, D)',
        'n = Transpose(D) {perm: [1, 0]}\ny = MatMul(m, n)',
      ),
      {
        edit: share('D', 'B'),
      },
    );
    const report = await repack(input, scratch('out'));
    expect(report).toMatchObject({
      aliases: 0,
      warnings: [
        'a tensor shares bytes with another ("D" with "B"); safetensors cannot, so 1056000 bytes (1.01 MiB) are written again; the data format raw keeps one copy',
      ],
    });
    const path = scratch('out', 'model.onnx');
    expect(tensorContents(path)).toEqual(tensorContents(input));
    const { bytes } = readSafetensors(scratch('out', 'model.safetensors'));
    expect(bytes('D').equals(bytes('B'))).toBe(true);
    expect((await repack(path, undefined)).warnings).toEqual([]);
  });

  it('writes overlapping bytes again, as many as overlap', async () => {
    const input = writeModel(scratch('in'), MODEL, {
      edit: (_, graph) => {
        const [a, b] = graph.initializer as [onnx.ITensorProto, onnx.ITensorProto];
        const at = Number(b.externalData?.find(({ key }) => key === 'offset')?.value);
        refer(a, ['model.onnx.data', at + 400], 33 * 33 * 4);
      },
    });
    const { warnings } = await repack(input, scratch('out'));
    expect(warnings[0]).toContain('so 4356 bytes (4.25 KiB) are written again');
    expect(tensorContents(scratch('out', 'model.onnx'))).toEqual(tensorContents(input));
  });

  it('has types that the format lacks as bytes', async () => {
    const INT4 = 22;
    const input = writeModel(scratch('in'), MODEL, {
      edit: (_, graph) => {
        const [a] = graph.initializer as [onnx.ITensorProto];
        a.dataType = INT4;
        a.dims = [99, 88];
      },
    });
    await repack(input, scratch('out'));
    const { entries } = readSafetensors(scratch('out', 'model.safetensors'));
    expect(entries.get('A')).toMatchObject({ dtype: 'U8', shape: [33 * 33 * 4] });
    expect(tensorContents(scratch('out', 'model.onnx'))).toEqual(tensorContents(input));
    expect((await checkModel(scratch('out', 'model.onnx'))).findings).toEqual([]);
  });

  it('gives names that the format or the fillers have to nobody else', async () => {
    const text = MODEL.replaceAll(/\bA\b/g, '__padding_1').replaceAll(/\bB\b/g, '__metadata__');
    const input = writeModel(scratch('in'), text);
    await repack(input, scratch('out'));
    const { entries } = readSafetensors(scratch('out', 'model.safetensors'));
    expect([...entries.keys()].slice(0, 3)).toEqual([
      '__padding_1',
      '__padding__1',
      '__metadata__.2',
    ]);
    expect(tensorContents(scratch('out', 'model.onnx'))).toEqual(tensorContents(input));
  });
});

describe('a repack as safetensors that is refused', () => {
  it('because no header could be padded that far', async () => {
    const input = writeModel(scratch('in'), MODEL);
    const layout = { ...SAFETENSORS, align: 2 ** 27 };
    await expect(repack(input, scratch('out'), layout)).rejects.toThrow(UsageError);
    expect(readdirSync(scratch())).toEqual(['in']);
  });

  it('because tensors are made as one', async () => {
    const text = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight E: fp32[1024, 64] = random(1)
h = Gather(E, ids) @embed
t = Transpose(E) {perm: [1, 0]}
logits = MatMul(h, t) @head
`;
    const input = writeModel(scratch('in'), text);
    const steps = stepsOf([['quantize-embedding', { bits: 8 }], 'tie-word-embeddings']);
    const recipe = { name: 'test', steps, layout: SAFETENSORS };
    const run = runRecipe(input, recipe, { output: scratch('out'), threads: 1 });
    await expect(run).rejects.toThrow(PreconditionError);
    expect(readdirSync(scratch())).toEqual(['in']);
  });
});

describe('surgeries on a model with safetensors', () => {
  const recipe = { name: 'test', steps: stepsOf([['quantize-matmul', { include: ['wide'] }]]) };

  it('write an ordinary data file', async () => {
    await repack(writeModel(scratch('in'), MODEL), scratch('st'));
    const input = scratch('st', 'model.onnx');
    const report = await runRecipe(input, recipe, { output: scratch('out'), threads: 1 });
    expect(report.changed).toBe(true);
    expect(readdirSync(scratch('out')).sort()).toEqual(['model.onnx', 'model.onnx.data']);
  });

  it('leave it in place, and know its header from dead bytes', async () => {
    await repack(writeModel(scratch('in'), MODEL), scratch('st'));
    const input = scratch('st', 'model.onnx');
    const before = readFileSync(scratch('st', 'model.safetensors'));
    const dead = inspectModel(input).files[1]?.deadBytes ?? 0;
    const report = await runRecipe(input, recipe, { inPlace: true, threads: 1 });
    expect(isSame(scratch('st', 'model.safetensors'), before)).toBe(true);
    expect(report.warnings).toEqual([
      `${dead + 33 * 8000 * 4} bytes of the old data files are no longer used; repack --in-place drops them`,
    ]);
    expect((await checkModel(input)).counts).toMatchObject({ errors: 0, warnings: 0 });
  });
});

describe('an old file that a repack in place replaces', () => {
  it('stays when this library did not write it: it may be a checkpoint', async () => {
    const input = writeModel(scratch('m'), MODEL);
    await repack(input, undefined);
    expect(readdirSync(scratch('m')).sort()).toEqual(['model.onnx', 'model.safetensors']);
    const data = scratch('m', 'model.safetensors');
    const text = readFileSync(data, 'latin1').replace('"onnx"', '"pt"  ');
    writeFileSync(data, text, 'latin1');
    const report = await repack(input, undefined, { dataFormat: 'raw' });
    expect(report.output.removed).toEqual([]);
    expect(report.warnings).toEqual([
      'the old model.safetensors stays: it may be a checkpoint that others load; remove it yourself',
    ]);
    expect(readdirSync(scratch('m')).sort()).toEqual([
      'model.onnx',
      'model.onnx.data',
      'model.safetensors',
    ]);
  });

  it('and a neighbour of the wanted name is not touched', async () => {
    const input = writeModel(scratch('m'), MODEL);
    copyFileSync(input, scratch('m', 'model.safetensors'));
    const before = readFileSync(scratch('m', 'model.safetensors'));
    const { warnings } = await repack(input, undefined);
    expect(warnings).toEqual(['model.safetensors is taken; the data goes to model.1.safetensors']);
    expect(isSame(scratch('m', 'model.safetensors'), before)).toBe(true);
  });
});
