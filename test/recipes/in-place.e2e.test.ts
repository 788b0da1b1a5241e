import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { inspectModel } from '../../src/report/inspect.ts';
import { declaredFeeds, relativeError, runModel, writeModel } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

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

const TABLE_ONLY = {
  name: 'table only',
  steps: [
    { surgery: 'quantize-embedding', options: { bits: 8 } },
    { surgery: 'tie-word-embeddings', options: {} },
  ],
};

function hashes(directory: string): Record<string, string> {
  const entries = readdirSync(directory).sort();
  return Object.fromEntries(
    entries.map((name) => {
      const bytes = readFileSync(join(directory, name));
      return [name, createHash('sha256').update(bytes).digest('hex')];
    }),
  );
}

/** The first values of the data file once more, as a tensor of their own below 1 KiB. */
function addSmall(_: onnx.IModelProto, graph: onnx.IGraphProto): void {
  const [table] = graph.initializer ?? [];
  const location = table?.externalData?.find(({ key }) => key === 'location');
  graph.initializer?.push({
    ...table,
    name: 'small',
    dims: [250],
    externalData: [{ ...location }, { key: 'length', value: '1000' }],
  });
}

it('adds a data file, replaces the .onnx and leaves the old data as it is', async () => {
  const path = writeModel(scratch('model'), DECODER, { edit: addSmall });
  const feeds = await declaredFeeds(path);
  const before = hashes(dirname(path));
  const expected = await runModel(path, feeds);

  const report = await runRecipe(path, TABLE_ONLY, { inPlace: true, threads: 1 });

  const after = hashes(dirname(path));
  expect(Object.keys(after)).toEqual(['model.onnx', 'model.onnx.1.data', 'model.onnx.data']);
  expect(after['model.onnx.data']).toBe(before['model.onnx.data']);
  expect(after['model.onnx']).not.toBe(before['model.onnx']);
  expect(report.output.path).toBe(path);
  expect(report.output.files.map(({ name, byteLength }) => [name, byteLength])).toEqual(
    ['model.onnx', 'model.onnx.1.data'].map((name) => [
      name,
      statSync(join(dirname(path), name)).size,
    ]),
  );
  // U is used where it was; the table is not, nor is what is small and moved into the .onnx.
  const old = inspectModel(path).files.find(({ path }) => path.endsWith('model.onnx.data'));
  expect(report.warnings).toEqual([
    `${old?.deadBytes} bytes of the old data files are no longer used; repack --in-place drops them`,
  ]);
  using opened = openModel(path);
  const kept = opened.model.graph.initializers.get('U')?.tensor?.data;
  expect(kept?.kind === 'range' && kept.file.path.endsWith('model.onnx.data')).toBe(true);
  const actual = (await runModel(path, feeds)).get('logits');
  const reference = expected.get('logits');
  if (actual === undefined || reference === undefined) throw new Error('no logits');
  expect(relativeError(actual, reference)).toBeLessThan(0.02);
});

it('names in a dry run what it then writes', async () => {
  const path = writeModel(scratch('model'), DECODER);
  const before = hashes(dirname(path));
  const planned = await runRecipe(path, TABLE_ONLY, { inPlace: true, dryRun: true });
  expect(hashes(dirname(path))).toEqual(before);
  const written = await runRecipe(path, TABLE_ONLY, { inPlace: true, threads: 1 });
  expect(written.output).toEqual(planned.output);
});

it('refuses a model behind a link: other models may share the file', async () => {
  const path = writeModel(scratch('model'), DECODER);
  const link = join(dirname(path), 'link.onnx');
  symlinkSync('model.onnx', link);
  const before = hashes(dirname(path));
  const run = runRecipe(link, TABLE_ONLY, { inPlace: true });
  await expect(run).rejects.toBeInstanceOf(PreconditionError);
  expect(hashes(dirname(path))).toEqual(before);
});

it('excludes an output', async () => {
  const path = writeModel(scratch('model'), DECODER);
  const run = runRecipe(path, TABLE_ONLY, { inPlace: true, output: scratch('out') });
  await expect(run).rejects.toBeInstanceOf(UsageError);
});
