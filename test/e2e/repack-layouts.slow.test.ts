import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareOutputs } from '../../src/evaluate/compare-outputs.ts';
import type { Layout } from '../../src/external-data/layout.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { tensorContents } from '../support/tensor-list.ts';

const FOLDER = fileURLToPath(new URL('../models/layouts', import.meta.url));
const TOKENS = [3, 141, 59, 26, 5, 358];

/** Directories of the real exports. */
const MODELS = readdirSync(FOLDER, { recursive: true })
  .map(String)
  .filter((path) => path.endsWith('model.onnx'))
  .map((path) => path.slice(0, -'/model.onnx'.length))
  .sort();

const LAYOUTS: Record<string, Layout> = {
  'one file': {},
  'small files': { dataName: '{model}.onnx_data', maxFileSize: 50_000 },
  'everything apart': { inlineBelow: 0, align: 1 },
  inside: { embed: true },
};

let root = '';
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-e2e-')));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Everything of a model that is neither a value nor its place, serialized. */
function graphOf(path: string): Uint8Array {
  const model: onnx.IModelProto = onnx.ModelProto.decode(readFileSync(path));
  const { graph } = model;
  if (graph) {
    graph.initializer = [];
    graph.node = graph.node?.filter(({ opType }) => opType !== 'Constant') ?? [];
  }
  return onnx.ModelProto.encode(model).finish();
}

describe.each(MODELS)('%s', (name) => {
  it.each(Object.entries(LAYOUTS))(
    '%s: the same graph, values and outputs',
    async (kind, layout) => {
      const input = join(FOLDER, name, 'model.onnx');
      const output = join(root, name.replace('/', '-'), kind);
      const report = await runRecipe(input, { name: 'repack', steps: [], layout }, { output });
      const model = join(output, 'model.onnx');
      const sizes = report.output.files.map((file) => statSync(join(output, file.name)).size);
      expect(sizes).toEqual(report.output.files.map((file) => file.byteLength));
      const reshaped = layout.embed === true && /int4/.test(name);
      if (!reshaped) {
        expect(tensorContents(model)).toEqual(tensorContents(input));
        expect(Buffer.compare(graphOf(model), graphOf(input))).toBe(0);
      }
      const compared = await compareOutputs(input, model, TOKENS, { threads: 1 });
      expect(compared.interfaceDifferences).toEqual([]);
      expect(compared.shapeDifferences).toEqual([]);
      expect(compared.logits?.maxMagnitude).toBeGreaterThan(0);
      for (const difference of compared.outputs) expect(difference.maxAbs, difference.name).toBe(0);
      rmSync(output, { recursive: true });
    },
  );
});
