import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { evaluateModel } from '../../src/evaluate/perplexity.ts';
import { makeModel } from '../../tools/make-model/make-model.mjs';
import { parseCommandLine } from '../../tools/make-model/options.mjs';

const root = mkdtempSync(join(tmpdir(), 'onnx-lathe-make-model-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A fixed walk through the smallest default vocabulary. */
const TOKENS = Int32Array.from({ length: 32 }, (_, index) => (index * 613 + 11) % 2048);

const CASES = ['5MB', '20MB'].flatMap((size) =>
  ['mobius', 'genai'].flatMap((layout) =>
    ['tied', 'untied'].flatMap((sharing) =>
      ['fp16', 'fp32'].map(
        (dtype) => `--size ${size} --layout ${layout} --${sharing} --dtype ${dtype}`,
      ),
    ),
  ),
);

it.each(CASES)('%s runs in ONNX Runtime from an empty cache', async (line) => {
  const directory = join(root, line.replaceAll(/\W+/g, '-'));
  const command = parseCommandLine([...line.split(' '), '-o', directory]);
  if (command === undefined) throw new Error('asked for help');
  const { modelPath, shape } = makeModel(command.request, command.directory);
  const { perplexity, vocabSize } = await evaluateModel(modelPath, {
    tokens: TOKENS,
    windowTokens: TOKENS.length,
    threads: 1,
  });
  expect(vocabSize).toBe(shape.vocabSize);
  // Random weights know nothing, and their logits are small: about one chance in the vocabulary.
  expect(perplexity / vocabSize).toBeGreaterThan(0.7);
  expect(perplexity / vocabSize).toBeLessThan(1.5);
});

it('a sparse model runs: every token is as likely', async () => {
  const command = parseCommandLine(['--size', '5MB', '--sparse', '-o', join(root, 'sparse')]);
  if (command === undefined) throw new Error('asked for help');
  const { modelPath } = makeModel(command.request, command.directory);
  const { perplexity } = await evaluateModel(modelPath, { tokens: TOKENS, windowTokens: 16 });
  expect(perplexity).toBeCloseTo(2048, 3);
});
