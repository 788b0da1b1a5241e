import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareOutputs } from '../../src/evaluate/compare-outputs.ts';
import { evaluateModel } from '../../src/evaluate/perplexity.ts';
import { namedRecipe } from '../../src/recipes/named.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import { inspectModel } from '../../src/report/inspect.ts';
import { repositoryPath } from '../support/cli.ts';

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');
const TOKENS = repositoryPath('examples/austen-tiny/heldout.tokens.json');

let root = '';
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-e2e-')));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Perplexity of the fp16 example on the first four windows (ONNX Runtime 1.30, x86-64). */
const FP16_PERPLEXITY = 69.617;

// Files of model and data together, in bytes; perplexity relative to fp16.
describe.each([
  { recipe: 'q4-small', bytes: 2_400_000, perplexity: 1.03 },
  { recipe: 'q4', bytes: 2_950_000, perplexity: 1.02 },
  { recipe: 'q4-mixed', bytes: 3_170_000, perplexity: 1.02 },
  { recipe: 'q8', bytes: 4_480_000, perplexity: 1.003 },
  { recipe: 'int8-embedding', bytes: 7_130_000, perplexity: 1.003 },
])('the trained example under $recipe', ({ recipe, bytes, perplexity }) => {
  it('keeps its promise of size and perplexity, with one table', async () => {
    const output = join(root, recipe);
    const report = await runRecipe(EXAMPLE, namedRecipe(recipe), { output });
    expect(report.output.byteLength).toBeLessThanOrEqual(bytes);
    expect(report.aliases).toBe(1);
    expect(inspectModel(output).tie).toBe('same bytes');
    const options = { tokensPath: TOKENS, maxWindows: 4, threads: 1 };
    const result = await evaluateModel(join(output, 'model.onnx'), options);
    expect(result.perplexity / FP16_PERPLEXITY).toBeLessThan(perplexity);
    expect(result.perplexity / FP16_PERPLEXITY).toBeGreaterThan(0.98);
  });
});

it('both tie styles compute the same', async () => {
  const steps = (tieStyle: string) => [
    { surgery: 'quantize-embedding', options: { bits: 8 } },
    { surgery: 'tie-word-embeddings', options: { tieStyle } },
    { surgery: 'remove-unused', options: {} },
  ];
  const paths: string[] = [];
  for (const tieStyle of ['range', 'reshape']) {
    const output = join(root, tieStyle);
    const report = await runRecipe(EXAMPLE, { name: tieStyle, steps: steps(tieStyle) }, { output });
    expect([tieStyle, report.aliases]).toEqual([tieStyle, tieStyle === 'range' ? 1 : 0]);
    paths.push(join(output, 'model.onnx'));
  }
  const [range = '', reshape = ''] = paths;
  const tokens = Int32Array.from({ length: 32 }, (_, index) => (index * 131 + 7) % 4096);
  const { interfaceDifferences, outputs } = await compareOutputs(range, reshape, tokens, {
    threads: 1,
  });
  expect(interfaceDifferences).toEqual([]);
  expect(outputs.every(({ maxAbs }) => maxAbs === 0)).toBe(true);
});
