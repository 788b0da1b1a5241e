import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FormatError, UsageError } from '../../src/errors.ts';
import { inspectModel } from '../../src/report/inspect.ts';
import { setExternal, writeTiny } from '../cli/tiny-model.ts';
import { repositoryPath } from '../support/cli.ts';

let root = '';
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-report-')));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const layout = (name: string) => repositoryPath(`test/models/layouts/${name}`);

describe('a model of two tables', () => {
  it('is told in full', () => {
    const path = writeTiny(root);
    const report = inspectModel(root);
    expect(report).toMatchObject({
      path,
      irVersion: 10,
      opsets: { 'ai.onnx': 21 },
      producer: 'onnx-lathe tests',
      nodes: 2,
      graphs: 1,
      functions: 0,
      tensors: 2,
      weights: 6144,
      bitsPerWeight: 32,
      types: [{ dtype: 'fp32', tensors: 2, byteLength: 24_576 }],
      inputs: ['input_ids'],
      outputs: ['logits'],
      layers: 0,
      embedding: { node: '/embed', tensor: 'table', rows: 96, columns: 32, storage: 'fp32' },
      head: { node: '/head', tensor: 'weight', rows: 96, columns: 32, byteLength: 12_288 },
      tie: 'separate, not compared',
      operators: { Gather: 1, MatMul: 1 },
      otherModels: [],
      warnings: [],
    });
    expect(report.files.map(({ path }) => path)).toEqual([path, `${path}.data`]);
    expect(report.byteLength).toBe(
      report.files.reduce((sum, { byteLength }) => sum + byteLength, 0),
    );
  });

  it('has dead bytes where no tensor refers to them', () => {
    const path = writeTiny(root);
    appendFileSync(`${path}.data`, new Uint8Array(1000));
    expect(inspectModel(root).files[1]).toEqual({
      path: `${path}.data`,
      byteLength: 25_576,
      aliveBytes: 24_576,
      headerBytes: 0,
      deadBytes: 1000,
      aliasedBytes: 0,
    });
  });

  it('has no dead bytes where a tensor below 1 KiB is', () => {
    const path = writeTiny(root, ({ graph }) => {
      const [table] = graph.initializer ?? [];
      const externalData = [
        { key: 'location', value: 'model.onnx.data' },
        { key: 'offset', value: '24576' },
        { key: 'length', value: '1000' },
      ];
      graph.initializer?.push({ ...table, name: 'small', dims: [250], externalData });
    });
    appendFileSync(`${path}.data`, new Uint8Array(1024));
    expect(inspectModel(root).files[1]).toMatchObject({ aliveBytes: 25_576, deadBytes: 24 });
  });

  it('counts bytes that two tensors share once', () => {
    writeTiny(root, ({ graph }) => {
      const [table, weight] = graph.initializer ?? [];
      setExternal(weight, 'offset', '0');
      if (table && weight) weight.dims = [32, 96];
    });
    const report = inspectModel(root);
    expect(report.tie).toBe('same bytes');
    expect(report.files[1]).toMatchObject({
      aliveBytes: 12_288,
      deadBytes: 12_288,
      aliasedBytes: 12_288,
    });
  });

  it('names keys that runtimes refuse', () => {
    writeTiny(root, ({ graph }) => {
      graph.initializer?.[0]?.externalData?.push({ key: 'digest', value: 'x' });
    });
    expect(inspectModel(root).warnings).toEqual([expect.stringContaining('digest')]);
  });

  it('names the other models of its package', () => {
    writeTiny(join(root, 'decoder'));
    mkdirSync(join(root, 'encoder'));
    copyFileSync(join(root, 'decoder', 'model.onnx'), join(root, 'encoder', 'model.onnx'));
    expect(inspectModel(root, 'decoder').otherModels).toEqual(['encoder/model.onnx']);
    expect(() => inspectModel(root)).toThrow(UsageError);
  });

  it('is a FormatError when its data is gone, and the files are closed again', () => {
    rmSync(`${writeTiny(root)}.data`);
    // More often than a process may have files open at once, were they not closed.
    for (let i = 0; i < 2000; i++) expect(() => inspectModel(root)).toThrow(FormatError);
  });
});

describe('layouts of exporters', () => {
  it.each([
    ['dynamo-llama-tied-f16', 'same tensor', 0, 'fp16'],
    ['genai-gemma2-fp32-cpu', 'same tensor', 2, 'fp32'],
    ['genai-llama-tied-int4-kquant', 'same tensor', 2, '4-bit, blocks of 32'],
    ['genai-llama-tied-int4-rtn', 'same tensor', 2, '4-bit, blocks of 32'],
    ['genai-phi-fp32-cpu', 'separate, not compared', 2, 'fp32'],
    ['genai-qwen2-tied-fp16-cuda', 'same tensor', 2, 'fp16'],
    ['genai-qwen35-fp16-cuda', 'same tensor', 4, 'fp16'],
    ['mobius-gemma2-f16-default', 'separate, not compared', 2, 'fp16'],
    ['mobius-gpt2-f16-default', 'separate, not compared', 2, 'fp16'],
    ['mobius-llama-tied-f16-default', 'same tensor', 2, 'fp16'],
    ['mobius-llama-untied-f16-default', 'separate, not compared', 2, 'fp16'],
    ['mobius-qwen3-tied-f32-cpu', 'same tensor', 2, 'fp32'],
    ['mobius-qwen35-text-f16-default', 'separate, not compared', 4, 'fp16'],
    ['mobius-whisper-f32-cpu/decoder', 'separate, not compared', 2, 'fp32'],
  ])('%s: %s, %i layers, %s', (name, tie, layers, storage) => {
    const report = inspectModel(layout(name));
    expect(report).toMatchObject({
      tie,
      layers,
      embedding: { rows: 512, columns: 64, storage },
      head: { rows: 512, columns: 64, storage },
      warnings: [],
    });
  });
});
