import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareOutputs } from '../../src/evaluate/compare-outputs.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { NAMED_RECIPES } from '../../src/recipes/named.ts';
import { runRecipe } from '../../src/recipes/run-recipe.ts';
import type { RunReport } from '../../src/recipes/run-report.ts';
import { inspectModel } from '../../src/report/inspect.ts';
import { repositoryPath } from '../support/cli.ts';

/** What a layout has to become under every recipe. */
interface Layout {
  readonly name: string;
  readonly head: 'tied' | 'own' | 'quantized';
  /** Recurrent states feed errors back: random weights then amplify them. */
  readonly isHybrid?: boolean;
}

const LAYOUTS: readonly Layout[] = [
  { name: 'dynamo-llama-tied-f16', head: 'tied' },
  { name: 'genai-gemma2-fp32-cpu', head: 'tied' },
  { name: 'genai-llama-tied-int4-kquant', head: 'quantized' },
  { name: 'genai-llama-tied-int4-rtn', head: 'quantized' },
  { name: 'genai-phi-fp32-cpu', head: 'own' },
  { name: 'genai-qwen2-tied-fp16-cuda', head: 'tied' },
  { name: 'genai-qwen35-fp16-cuda', head: 'tied', isHybrid: true },
  { name: 'mobius-gemma2-f16-default', head: 'tied' },
  { name: 'mobius-gpt2-f16-default', head: 'tied' },
  { name: 'mobius-llama-tied-f16-default', head: 'tied' },
  { name: 'mobius-llama-untied-f16-default', head: 'own' },
  { name: 'mobius-qwen3-tied-f32-cpu', head: 'tied' },
  { name: 'mobius-qwen35-text-f16-default', head: 'tied', isHybrid: true },
  { name: 'mobius-whisper-f32-cpu/decoder', head: 'tied' },
];

/**
 * Largest and mean error of a logit, whose magnitudes reach 2.5, for plain decoders and for hybrid ones. About
 * half again of what ONNX Runtime 1.30 shows on x86-64 with AVX-512.
 */
const TOLERANCES: Readonly<Record<string, Record<'plain' | 'hybrid', readonly [number, number]>>> =
  {
    q4: { plain: [0.8, 0.14], hybrid: [3, 0.35] },
    'q4-small': { plain: [1, 0.16], hybrid: [3, 0.4] },
    'q4-mixed': { plain: [0.8, 0.14], hybrid: [3, 0.35] },
    q8: { plain: [0.09, 0.013], hybrid: [0.27, 0.035] },
    'int8-embedding': { plain: [0.04, 0.007], hybrid: [0.18, 0.017] },
  };

const TOKENS = Int32Array.from({ length: 24 }, (_, index) => (index * 37 + 11) % 500);
const FOLDER = repositoryPath('test/models/layouts');

let root = '';
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-e2e-')));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function reasons(report: RunReport): string[] {
  return report.steps.flatMap(({ declined }) => declined.map(({ reason }) => reason));
}

/** Declared inputs and outputs, in order: names, types, shapes and whatever else they carry. */
function interfaceOf(path: string): object {
  const { graph } = onnx.ModelProto.decode(readFileSync(path));
  return { input: graph?.input, output: graph?.output };
}

it('every layout has its row', () => {
  const names = LAYOUTS.map(({ name }) => name.split('/')[0]);
  expect(names).toEqual(readdirSync(FOLDER).sort());
});

describe.each(LAYOUTS)('$name', ({ name, head, isHybrid }) => {
  it.each(NAMED_RECIPES.map((recipe) => recipe.name))('%s', async (recipeName) => {
    const recipe = NAMED_RECIPES.find((known) => known.name === recipeName);
    if (recipe === undefined) throw new Error(recipeName);
    const input = join(FOLDER, name);
    const output = join(root, name.replace('/', '-'), recipeName);
    const report = await runRecipe(input, recipe, { output });

    if (head === 'quantized') {
      expect(report.changed).toBe(false);
      expect(reasons(report)).toEqual([
        'the table is quantized already',
        'tied already: head and embedding read the same bytes',
      ]);
      expect(existsSync(output)).toBe(false);
      return;
    }

    const model = join(output, 'model.onnx');
    const source = join(input, 'model.onnx');
    expect(report.warnings).toEqual([]);
    expect(report.output.byteLength).toBeLessThan(report.input.byteLength);
    const sizes = report.output.files.map((file) => statSync(join(output, file.name)).size);
    expect(sizes).toEqual(report.output.files.map((file) => file.byteLength));

    // Tied: the codes are stored once, the alias is the head's view of them. Untied: declined with the counts.
    expect([report.aliases, inspectModel(model).tie]).toEqual(
      head === 'tied' ? [1, 'same bytes'] : [0, 'separate, not compared'],
    );
    const allowed =
      head === 'own'
        ? /^not tied: \d+ of 32768 compared elements|too small to gain/
        : /too small to gain/;
    for (const reason of reasons(report)) expect(reason).toMatch(allowed);
    if (head === 'own') expect(reasons(report).join()).toContain('not tied');

    expect(interfaceOf(model)).toEqual(interfaceOf(source));
    const compared = await compareOutputs(source, model, TOKENS, { threads: 1 });
    expect(compared.interfaceDifferences).toEqual([]);
    expect(compared.shapeDifferences).toEqual([]);
    const [maxAbs, meanAbs] = TOLERANCES[recipeName]?.[isHybrid ? 'hybrid' : 'plain'] ?? [0, 0];
    expect(compared.logits?.maxMagnitude).toBeLessThan(2.5);
    expect(compared.logits?.maxAbs).toBeLessThan(maxAbs);
    expect(compared.logits?.meanAbs).toBeLessThan(meanAbs);
    // A recipe that had quietly done nothing would show no error at all.
    expect(compared.logits?.meanAbs).toBeGreaterThan(0.0005);
  });
});
