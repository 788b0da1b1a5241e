import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PreconditionError } from '../../src/errors.ts';
import type { Layout } from '../../src/external-data/layout.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { snapshot } from '../cli/tree.ts';
import {
  declaredFeeds,
  runModel,
  type WriteModelOptions,
  writeModel,
} from '../support/model-builder.ts';
import { refer, scatter } from '../support/scattered-model.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { externalPlaces, tensorContents } from '../support/tensor-list.ts';

const scratch = useScratchDirectory();

const DECODER = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight E: fp32[1024, 64] = random(1)
weight U: fp32[64, 64] = random(2)
h = Gather(E, ids) @embed
u = MatMul(h, U) @up
t = Transpose(E) {perm: [1, 0]}
logits = MatMul(u, t) @head
`;

/** A model with dead bytes in its data file. */
function writeDead(options: WriteModelOptions = {}): string {
  const path = writeModel(scratch('model'), DECODER, options);
  scatter(path, (name) => ['model.onnx.data', name === 'E' ? 4096 : 300_000], 5000);
  return path;
}

function repack(path: string, layout: Layout = {}, dryRun = false) {
  const recipe = { name: 'repack', steps: [], layout };
  return runRecipe(path, recipe, { inPlace: true, dryRun, threads: 1 });
}

function names(): string[] {
  return readdirSync(scratch('model'), { recursive: true }).map(String).sort();
}

it('writes data under a fresh name, then removes the old file', async () => {
  const path = writeDead();
  const feeds = await declaredFeeds(path);
  const before = { tensors: tensorContents(path), outputs: await runModel(path, feeds) };

  const report = await repack(path);

  expect(names()).toEqual(['model.onnx', 'model.onnx.1.data']);
  expect(report).toMatchObject({ changed: true, warnings: [] });
  expect(report.output).toMatchObject({ path, removed: ['model.onnx.data'] });
  expect(tensorContents(path)).toEqual(before.tensors);
  expect(await runModel(path, feeds)).toEqual(before.outputs);
  expect(report.output.files[1]).toEqual({
    name: 'model.onnx.1.data',
    byteLength: 1024 * 64 * 4 + 64 * 64 * 4,
  });
});

it('has nothing to do the second time, whatever was asked for', async () => {
  const layouts: Layout[] = [
    {},
    { align: 4096, maxFileSize: 20_000 },
    { dataName: '{model}.onnx_data' },
    { inlineBelow: 2 ** 15 },
    { inlineBelow: 0, align: 1 },
    { embed: true },
    { embed: true },
  ];
  for (const [index, layout] of layouts.entries()) {
    const path = index === 0 ? writeDead() : scratch('model', 'model.onnx');
    const content = tensorContents(path);
    const first = await repack(path, layout);
    expect(first.changed, JSON.stringify(layout)).toBe(index < layouts.length - 1);
    const before = snapshot(scratch('model'));
    const second = await repack(path, layout);
    expect(second).toMatchObject({ changed: false, bytesWritten: 0, bytesRead: 0 });
    expect(second.output.removed).toEqual([]);
    expect(snapshot(scratch('model'))).toEqual(before);
    expect(tensorContents(path)).toEqual(content);
  }
  expect(names()).toEqual(['model.onnx']);
});

it('says in a dry run what it then does', async () => {
  const path = writeDead();
  const before = snapshot(scratch('model'));
  const planned = await repack(path, { maxFileSize: 20_000 }, true);
  expect(snapshot(scratch('model'))).toEqual(before);
  const written = await repack(path, { maxFileSize: 20_000 });
  expect(written.output).toEqual(planned.output);
  expect(written.warnings).toEqual(planned.warnings);
  expect(names()).toEqual(['model.onnx', ...planned.output.files.slice(1).map(({ name }) => name)]);
});

it('goes back to the name that was asked for when it is free', async () => {
  const path = writeDead();
  const taken = await repack(path, { dataName: 'model.onnx.data' });
  expect(taken.warnings).toEqual(['model.onnx.data is taken; the data goes to model.onnx.1.data']);
  const free = await repack(path, { dataName: 'model.onnx.data' });
  expect(free).toMatchObject({ changed: true, warnings: [] });
  expect(names()).toEqual(['model.onnx', 'model.onnx.data']);
});

it('gives all files of a series names of one series', async () => {
  const path = writeModel(scratch('model'), DECODER, {
    data: (name) => (name === 'E' ? 'm.data' : 'm.data_1'),
  });
  // A second file with dead bytes; the first is as it shall be.
  scatter(path, (name) => (name === 'E' ? ['m.data', 0] : ['m.data_1', 128]));
  const report = await repack(path, { maxFileSize: 1024 * 64 * 4 });
  expect(report.output.removed).toEqual(['m.data', 'm.data_1']);
  expect(names()).toEqual(['m.1.data', 'm.1.data_1', 'model.onnx']);
  const again = await repack(path, { maxFileSize: 1024 * 64 * 4 });
  expect(again.changed).toBe(false);
});

it('takes no name of which a later number is taken', async () => {
  const path = writeDead();
  writeFileSync(scratch('model', 'w.data_1'), 'mine');
  const report = await repack(path, { dataName: 'w.data', maxFileSize: 20_000 });
  expect(report.warnings).toContain('w.data is taken; the data goes to w.1.data');
  expect(names()).toEqual(['model.onnx', 'w.1.data', 'w.1.data_1', 'w.data_1']);
  expect(readFileSync(scratch('model', 'w.data_1'), 'utf8')).toBe('mine');
});

it('moves a tensor although the length of the file stays', async () => {
  const text = `
input x: fp32[1]
output y
weight A: fp32[275] = random(1)
weight B: fp32[275] = random(2)
a = Add(x, A)
y = Add(a, B)
`;
  const path = writeModel(scratch('model'), text);
  scatter(path, (name) => ['model.onnx.data', name === 'A' ? 52 : 1152]);
  const before = tensorContents(path);
  expect((await repack(path)).changed).toBe(true);
  expect(tensorContents(path)).toEqual(before);
  expect(externalPlaces(path)['A']).toEqual(['model.onnx.1.data', 0, 1100]);
  expect((await repack(path)).changed).toBe(false);
});

it('writes only the .onnx when only its references change', async () => {
  const path = writeModel(scratch('model'), DECODER, {
    edit: (_, graph) => {
      // Without lengths, as some exporters write.
      for (const tensor of graph.initializer ?? []) tensor.externalData?.pop();
    },
  });
  const before = snapshot(scratch('model'));
  const report = await repack(path);
  expect(report.changed).toBe(true);
  expect(report.output.files.map(({ name }) => name)).toEqual(['model.onnx']);
  expect(snapshot(scratch('model'))['model.onnx.data']).toBe(before['model.onnx.data']);
  expect((await repack(path)).changed).toBe(false);
});

describe('a model that is its own data file', () => {
  /** The bytes of E and U lie behind the graph, in a field no reader knows. */
  function writeSelf(): string {
    const path = writeModel(scratch('model'), DECODER);
    const model = onnx.ModelProto.decode(readFileSync(path));
    const data = readFileSync(`${path}.data`);
    unlinkSync(`${path}.data`);
    // Field 999 with a length of five bytes.
    const header = Buffer.from([0xba, 0x3e, 0x80, 0x80, 0x80, 0x80, 0x00]);
    for (let at = 0, rest = data.byteLength; at < 5; at++, rest = Math.floor(rest / 128)) {
      header[2 + at] = (rest % 128) + (at < 4 ? 128 : 0);
    }
    const encoded = (start: number) => {
      for (const tensor of model.graph?.initializer ?? []) {
        const offset = tensor.name === 'E' ? start : start + 1024 * 64 * 4;
        const length = tensor.name === 'E' ? 1024 * 64 * 4 : 64 * 64 * 4;
        refer(tensor, ['model.onnx', offset], length);
        for (const entry of tensor.externalData ?? []) {
          if (entry.key === 'offset') entry.value = entry.value?.padStart(9, '0') ?? '';
        }
      }
      return onnx.ModelProto.encode(model).finish();
    };
    const start = encoded(0).byteLength + header.byteLength;
    writeFileSync(path, Buffer.concat([encoded(start), header, data]));
    return path;
  }

  it('is laid out in place', async () => {
    const path = writeSelf();
    const before = tensorContents(path);
    const report = await repack(path);
    expect(report.output.removed).toEqual([]);
    expect(report.warnings).toEqual([]);
    expect(tensorContents(path)).toEqual(before);
    expect(names()).toEqual(['model.onnx', 'model.onnx.data']);
  });

  it('survives surgeries in place', async () => {
    const path = writeSelf();
    const [kept] = tensorContents(path).filter(({ name }) => name === 'U');
    const recipe = {
      name: 'table',
      steps: [{ surgery: 'quantize-embedding', options: { bits: 8 } }],
    };
    await runRecipe(path, recipe, { inPlace: true, threads: 1 });
    expect(tensorContents(path)).toContainEqual(kept);
  });
});

describe('old data files stay', () => {
  /** Expects that the old file is still there and the run says why. */
  async function expectKept(path: string, reason: RegExp): Promise<void> {
    const before = snapshot(scratch('model'));
    const planned = await repack(path, {}, true);
    const report = await repack(path);
    expect(report.changed).toBe(true);
    expect(report.output.removed).toEqual([]);
    expect(report.output).toEqual(planned.output);
    expect(report.warnings).toEqual([expect.stringMatching(reason)]);
    expect(planned.warnings).toEqual(report.warnings);
    const after = snapshot(scratch('model'));
    for (const [name, content] of Object.entries(before)) {
      if (name !== 'model.onnx') expect(after[name], name).toBe(content);
    }
  }

  it('while another model uses them', async () => {
    const path = writeDead();
    copyFileSync(path, scratch('model', 'other.onnx'));
    await expectKept(path, /^the old model\.onnx\.data stays: other\.onnx uses it$/);
    // The last one to go takes it along.
    const other = await repack(scratch('model', 'other.onnx'));
    expect(other.output.removed).toEqual(['model.onnx.data']);
    expect(names()).toEqual(['model.onnx', 'model.onnx.1.data', 'model.onnx.2.data', 'other.onnx']);
  });

  it.each([
    ['a file that is no model', 'x.onnx', () => Buffer.from('no model')],
    ['an empty file', '.hidden.ONNX', () => Buffer.alloc(0)],
    ['a model that is cut off', 'cut.onnx', (path: string) => readFileSync(path).subarray(0, 200)],
  ])('while there is %s', async (_, name, content) => {
    const path = writeDead();
    writeFileSync(scratch('model', name), content(path));
    await expectKept(path, /^the old model\.onnx\.data stays: \S+ may use it: ./);
  });

  it('while a model uses them through a link, or is a hard link to the old graph', async () => {
    const path = writeDead();
    symlinkSync('model.onnx.data', scratch('model', 'alias.data'));
    const renamed = writeModel(scratch('other'), DECODER, { data: () => 'alias.data' });
    scatter(renamed, (name) => ['alias.data', name === 'E' ? 4096 : 300_000]);
    copyFileSync(renamed, scratch('model', 'other.onnx'));
    await expectKept(path, /stays: other\.onnx uses it$/);
  });

  it('while the old graph has another name', async () => {
    const path = writeDead();
    linkSync(path, scratch('model', 'backup.onnx'));
    await expectKept(path, /stays: backup\.onnx uses it$/);
  });

  it('while a link to a model leads nowhere', async () => {
    const path = writeDead();
    symlinkSync('nowhere.onnx', scratch('model', 'broken.onnx'));
    await expectKept(path, /stays: broken\.onnx may use it: .*does not exist$/);
  });

  it.each([
    'thesis',
    'notes.md',
    'other.ort',
    '.hidden.data',
    '.git/x.data',
    'metadata',
    'x.database',
    'my_data',
  ])('called %s: a model cannot make any file its data and have it removed', async (name) => {
    const path = writeModel(scratch('model'), DECODER, { data: () => name });
    scatter(path, (tensor) => [name, tensor === 'E' ? 4096 : 300_000]);
    await expectKept(
      path,
      /^the old \S+ stays: it is not called like a data file; remove it yourself$/,
    );
  });

  it('in one line, when they are many', async () => {
    const path = writeModel(scratch('model'), DECODER, { data: (tensor) => `onnx__${tensor}` });
    await expectKept(path, /^the old onnx__E and 1 more stay: it is not called like a data file/);
  });

  it('in a directory of their own while a model there uses them', async () => {
    const path = writeModel(scratch('model'), DECODER, { data: () => 'data/w.bin' });
    scatter(path, () => ['data/w.bin', 0]);
    scatter(path, (name) => ['data/w.bin', name === 'E' ? 4096 : 300_000], 100);
    const inner = writeModel(scratch('inner'), DECODER, { data: () => 'w.bin' });
    scatter(inner, (name) => ['w.bin', name === 'E' ? 4096 : 300_000]);
    renameSync(inner, scratch('model', 'data', 'inner.onnx'));
    await expectKept(path, /^the old data\/w\.bin stays: data\/inner\.onnx uses it$/);
  });
});

it.each(['data', 'w.bin', 'a/b.weight', 'model.onnx_data', 'model.onnx_data_7', 'x.DATA'])(
  'removes an old file called %s',
  async (name) => {
    const path = writeModel(scratch('model'), DECODER, { data: () => name });
    scatter(path, (tensor) => [name, tensor === 'E' ? 4096 : 300_000]);
    expect((await repack(path)).output.removed).toEqual([name]);
  },
);

it('a link to the model itself, directories and other files keep nothing', async () => {
  const path = writeDead();
  symlinkSync('model.onnx', scratch('model', 'latest.onnx'));
  mkdirSync(scratch('model', 'folder.onnx'));
  writeFileSync(scratch('model', 'notes.txt'), 'model.onnx.data');
  const report = await repack(path);
  expect(report.output.removed).toEqual(['model.onnx.data']);
});

it('does not remove what took the place of an old file', async () => {
  const path = writeDead();
  const recipe = { name: 'repack', steps: [], layout: {} };
  const data = `${path}.data`;
  await runRecipe(path, recipe, {
    inPlace: true,
    threads: 1,
    onProgress: () => {
      // Another program puts a new file there; ours still reads the old one.
      writeFileSync(`${data}.new`, 'precious');
      renameSync(`${data}.new`, data);
    },
  });
  expect(readFileSync(data, 'utf8')).toBe('precious');
  expect(names()).toEqual(['model.onnx', 'model.onnx.1.data', 'model.onnx.data']);
});

describe('refuses', () => {
  it.each(['model.onnx', 'model.onnx.data'])('when %s is a link', async (name) => {
    const path = writeDead();
    mkdirSync(scratch('model', 'blobs'));
    renameSync(scratch('model', name), scratch('model', 'blobs', 'x'));
    symlinkSync(join('blobs', 'x'), scratch('model', name));
    const before = snapshot(scratch('model'));
    if (name === 'model.onnx') {
      renameSync(`${path}.data`, scratch('model', 'blobs', 'model.onnx.data'));
      symlinkSync(join('blobs', 'model.onnx.data'), `${path}.data`);
    }
    await expect(repack(path)).rejects.toBeInstanceOf(PreconditionError);
    const after = snapshot(scratch('model'));
    expect(after[join('blobs', 'x')]).toBe(before[join('blobs', 'x')]);
  });

  it('and leaves everything when the data changes meanwhile', async () => {
    const path = writeDead();
    const recipe = { name: 'repack', steps: [], layout: {} };
    const graph = readFileSync(path);
    const run = runRecipe(path, recipe, {
      inPlace: true,
      onProgress: () => truncateSync(`${path}.data`, 400_000),
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_CHANGED' });
    expect(readFileSync(path)).toEqual(graph);
    expect(names()).toEqual(['model.onnx', 'model.onnx.data']);
  });
});
