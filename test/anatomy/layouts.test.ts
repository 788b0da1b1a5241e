import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { findEmbedding } from '../../src/anatomy/embedding.ts';
import { findHead } from '../../src/anatomy/head.ts';
import { openModel } from '../../src/external-data/open-model.ts';

function anatomy(name: string) {
  const path = fileURLToPath(new URL(`../models/layouts/${name}/model.onnx`, import.meta.url));
  using opened = openModel(path);
  const head = findHead(opened.model);
  const embedding = findEmbedding(opened.model, head?.linear);
  return {
    head: head?.linear.kind === 'float' ? head.linear.layout : head?.linear.kind,
    after: head?.after.map((node) => node.opType).join(' '),
    embedding: embedding?.kind === 'float' ? embedding.layout : embedding?.kind,
    shapes: [
      [head?.linear.n, head?.linear.k],
      [embedding?.vocabSize, embedding?.hiddenSize],
    ],
  };
}

const SHAPE = [512, 64];

it.each([
  ['mobius-llama-tied-f16-default', 'rows', 'rows', ''],
  ['mobius-llama-untied-f16-default', 'columns', 'rows', ''],
  ['mobius-qwen3-tied-f32-cpu', 'rows', 'rows', ''],
  ['mobius-gemma2-f16-default', 'columns', 'rows', 'Mul Tanh Div'],
  ['mobius-gpt2-f16-default', 'columns', 'rows', ''],
  ['mobius-qwen35-text-f16-default', 'columns', 'rows', ''],
  ['mobius-whisper-f32-cpu/decoder', 'columns', 'rows', ''],
  ['genai-qwen2-tied-fp16-cuda', 'columns', 'columns', ''],
  ['genai-gemma2-fp32-cpu', 'columns', 'columns', 'Mul Tanh Div'],
  ['genai-phi-fp32-cpu', 'columns', 'rows', 'Add'],
  ['genai-qwen35-fp16-cuda', 'columns', 'columns', ''],
  ['genai-llama-tied-int4-rtn', 'quantized', 'quantized', ''],
  ['genai-llama-tied-int4-kquant', 'quantized', 'quantized', ''],
  ['dynamo-llama-tied-f16', 'rows', 'rows', ''],
])('%s', (name, head, embedding, after) => {
  expect(anatomy(name)).toEqual({ head, after, embedding, shapes: [SHAPE, SHAPE] });
});
