import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../src/external-data/open-model.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { checkModel } from '../../src/report/check.ts';
import { writeModel } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const MODEL = `
input x: fp32[batch, 64]
output y: fp32[batch, 64]
weight E: fp32[64, 64] = random(1)
weight F: fp32[64, 64] = random(1)
weight U: fp32[64, 64] = random(2)
a = MatMul(x, E)
b = MatMul(a, F)
y = MatMul(b, U)
`;

const DEDUPE = { name: 'dedupe', steps: [{ surgery: 'dedupe-initializers', options: {} }] };
const REPACK = { name: 'repack', steps: [], layout: {} };

/** The first values of every initializer. */
function starts(path: string): Record<string, Buffer> {
  using opened = openModel(path);
  const { initializers } = opened.model.graph;
  return Object.fromEntries(
    [...initializers.tensors()].map(({ name, tensor: { data } }) => {
      if (data.kind !== 'range') throw new Error(`${name} is not in a file`);
      const bytes = readFileSync(data.file.path);
      return [name, bytes.subarray(data.byteOffset, data.byteOffset + 64)];
    }),
  );
}

async function codesOf(path: string): Promise<string[]> {
  return (await checkModel(path)).findings.map(({ code }) => code);
}

describe('two dots in the name of a data file, which onnx for Python refuses', () => {
  it.each([
    ['a..b.bin', 'a_b.bin'],
    ['...', '_'],
    ['..sub/w.data', '_sub/w.data'],
  ])('are read, and not written: %s becomes %s', async (location, written) => {
    const path = writeModel(scratch('m'), MODEL, { data: () => location });
    for (const recipe of [DEDUPE, REPACK]) {
      const output = scratch(recipe.name);
      await runRecipe(path, recipe, { output, threads: 1 });
      const files = readdirSync(output, { recursive: true, encoding: 'utf8' });
      expect(files.filter((name) => name !== '_sub').sort()).toEqual(
        [written, 'model.onnx'].sort(),
      );
      const { E, U } = starts(path);
      expect(starts(join(output, 'model.onnx'))).toMatchObject({ E, U });
    }
  });

  it('do not come from the name of the model', async () => {
    const path = writeModel(scratch('m'), MODEL);
    const output = scratch('out', 'my..model.onnx');
    await runRecipe(path, REPACK, { output, threads: 1 });
    expect(readdirSync(dirname(output)).sort()).toEqual(['my..model.onnx', 'my_model.onnx.data']);
    const embedded = writeModel(scratch('e'), MODEL, { data: null, name: 'my..model.onnx' });
    await runRecipe(embedded, REPACK, { output: scratch('apart'), threads: 1 });
    expect(readdirSync(scratch('apart')).sort()).toEqual(['my..model.onnx', 'my_model.onnx.data']);
  });

  it('stay in place until the model is laid out anew', async () => {
    const path = writeModel(scratch('m'), MODEL, { data: () => 'a..b.bin' });
    const inPlace = { inPlace: true, threads: 1 };
    await runRecipe(path, DEDUPE, inPlace);
    expect(readdirSync(dirname(path)).sort()).toEqual(['a..b.bin', 'model.onnx']);
    expect(await codesOf(path)).toContain('external-path');
    await runRecipe(path, REPACK, inPlace);
    expect(readdirSync(dirname(path)).sort()).toEqual(['a_b.bin', 'model.onnx']);
    expect(await codesOf(path)).toEqual([]);
    expect((await runRecipe(path, REPACK, inPlace)).changed).toBe(false);
  });
});

it('two files of names that become one are one file', async () => {
  const data = (name: string) => (name === 'U' ? 'a..b.bin' : 'a_b.bin');
  const path = writeModel(scratch('m'), MODEL, { data });
  const output = scratch('out');
  await runRecipe(path, DEDUPE, { output, threads: 1 });
  expect(readdirSync(output).sort()).toEqual(['a_b.bin', 'model.onnx']);
  const { E, U } = starts(path);
  expect(starts(join(output, 'model.onnx'))).toMatchObject({ E, U });
});
