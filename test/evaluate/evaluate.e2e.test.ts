import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CancelledError, FormatError, PreconditionError } from '../../src/errors.ts';
import { compareOutputs } from '../../src/evaluate/compare-outputs.ts';
import { evaluateModel } from '../../src/evaluate/perplexity.ts';

function repositoryPath(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16/model.onnx');
const HELDOUT = repositoryPath('examples/austen-tiny/heldout.tokens.json');

function layout(name: string): string {
  return repositoryPath(`test/models/layouts/${name}/model.onnx`);
}

describe('perplexity of the trained example', () => {
  it('agrees with the fp32 export, window by window', async () => {
    const progress: number[] = [];
    const result = await evaluateModel(EXAMPLE, {
      tokensPath: HELDOUT,
      maxWindows: 4,
      threads: 1,
      onProgress: ({ windowsDone, windows }) => progress.push(windowsDone / windows),
    });
    expect(result).toMatchObject({
      windows: 4,
      windowTokens: 256,
      scoredTokens: 1020,
      vocabSize: 4096,
      notes: [],
    });
    expect(progress).toEqual([0.25, 0.5, 0.75, 1]);
    // Frozen from this export on ONNX Runtime 1.30, x86-64.
    expect(Math.abs(result.perplexity - 69.6174)).toBeLessThan(1e-2);
    expect(result.meanNll).toBeCloseTo(Math.log(result.perplexity), 12);
    // The fp32 export of the same weights; fp16 arithmetic moves a window's sum by some hundredths.
    const fp32 = [1061.7792, 966.2441, 1221.4214, 1078.4444];
    for (const [window, nll] of fp32.entries()) {
      expect(Math.abs((result.windowNll[window] as number) - nll)).toBeLessThan(0.15);
    }
  });

  it('stops when told to', async () => {
    const stop = new AbortController();
    const running = evaluateModel(EXAMPLE, {
      tokensPath: HELDOUT,
      windowTokens: 32,
      threads: 1,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(running).rejects.toThrow(CancelledError);
  });

  it('refuses ids beyond the vocabulary and windows beyond the positions', async () => {
    const beyond = evaluateModel(EXAMPLE, { tokens: [1, 4096], windowTokens: 2 });
    await expect(beyond).rejects.toThrow('tokens: token 1 is 4096, not an integer from 0 to 4095');
    const long = evaluateModel(EXAMPLE, { tokens: new Int32Array(600), windowTokens: 600 });
    await expect(long).rejects.toThrow(PreconditionError);
  });
});

/** A fixed walk through the vocabulary of the layouts. */
const TOKENS = Int32Array.from({ length: 64 }, (_, index) => (index * 37 + 11) % 512);

describe('every layout runs', () => {
  // Frozen from ONNX Runtime 1.30, x86-64: random weights, so about the vocabulary of 512.
  it.each([
    ['dynamo-llama-tied-f16', 590.17],
    ['genai-gemma2-fp32-cpu', 563.93],
    ['genai-llama-tied-int4-kquant', 602.08],
    ['genai-llama-tied-int4-rtn', 596.22],
    ['genai-phi-fp32-cpu', 624.77],
    ['genai-qwen2-tied-fp16-cuda', 568.38],
    ['genai-qwen35-fp16-cuda', 516.88],
    ['mobius-gemma2-f16-default', 563.95],
    ['mobius-gpt2-f16-default', 576.78],
    ['mobius-llama-tied-f16-default', 590.17],
    ['mobius-llama-untied-f16-default', 555.13],
    ['mobius-qwen3-tied-f32-cpu', 547.37],
    ['mobius-qwen35-text-f16-default', 569.95],
  ])('%s', async (name, perplexity) => {
    const options = { tokens: TOKENS, windowTokens: 32, threads: 1 };
    const result = await evaluateModel(layout(name), options);
    expect(result).toMatchObject({ windows: 2, scoredTokens: 62, vocabSize: 512, notes: [] });
    expect(result.perplexity / perplexity).toBeGreaterThan(0.995);
    expect(result.perplexity / perplexity).toBeLessThan(1.005);
  });

  it('a decoder with an encoder runs with a note', async () => {
    const options = { tokens: TOKENS, windowTokens: 32, threads: 1 };
    const result = await evaluateModel(layout('mobius-whisper-f32-cpu/decoder'), options);
    expect(result.notes).toEqual([expect.stringMatching(/^"encoder_hidden_states" is fed/)]);
    expect(result.perplexity).toBeGreaterThan(400);
  });
});

describe('a graph that leaves its head size open', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lathe-evaluate-'));
    const source = layout('genai-phi-fp32-cpu');
    await copyFile(source, join(folder, 'model.onnx'));
    await copyFile(`${source}.data`, join(folder, 'model.onnx.data'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const options = { tokens: TOKENS, windowTokens: 32, threads: 1 };

  it('runs without genai_config.json, with the same result', async () => {
    const alone = await evaluateModel(join(folder, 'model.onnx'), options);
    const configured = await evaluateModel(layout('genai-phi-fp32-cpu'), options);
    expect(alone.windowNll).toEqual(configured.windowNll);
  });

  it('says so when the configuration is wrong', async () => {
    const config = join(folder, 'genai_config.json');
    await writeFile(config, '{"model":{"decoder":{"head_size":48}}}');
    const wrong = evaluateModel(join(folder, 'model.onnx'), options);
    await expect(wrong).rejects.toThrow(PreconditionError);
    await writeFile(config, 'not json');
    const broken = evaluateModel(join(folder, 'model.onnx'), options);
    await expect(broken).rejects.toThrow(FormatError);
  });
});

describe('compareOutputs', () => {
  it('of a model with itself finds nothing', async () => {
    const path = layout('mobius-qwen35-text-f16-default');
    const result = await compareOutputs(path, path, TOKENS, { threads: 1 });
    expect(result.interfaceDifferences).toEqual([]);
    expect(result.shapeDifferences).toEqual([]);
    expect(result.outputs).toHaveLength(9);
    expect(result.outputs.every((output) => output.maxAbs === 0)).toBe(true);
    expect(result.logits?.maxMagnitude).toBeGreaterThan(1);
  });

  it('of one model by two exporters finds the interface, and nearly equal logits', async () => {
    const result = await compareOutputs(
      layout('mobius-llama-tied-f16-default'),
      layout('dynamo-llama-tied-f16'),
      TOKENS,
      { threads: 1 },
    );
    expect(result.interfaceDifferences[0]).toBe(
      'input "position_ids" is missing in the second model',
    );
    expect(result.outputs.map((output) => output.name)).toEqual(['logits']);
    expect(result.logits?.maxAbs).toBeGreaterThan(0);
    expect(result.logits?.maxAbs).toBeLessThan(0.01);
  });

  it('of different weights finds different logits', async () => {
    const result = await compareOutputs(
      layout('mobius-llama-tied-f16-default'),
      layout('mobius-llama-untied-f16-default'),
      TOKENS,
      { threads: 1 },
    );
    expect(result.interfaceDifferences).toEqual([]);
    expect(result.logits?.maxAbs).toBeGreaterThan(0.5);
  });
});
