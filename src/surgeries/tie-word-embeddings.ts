/**
 * Store the token embedding and the language-model head once.
 *
 * Head and embedding are found by structure and compared in full before anything changes: an untied head is declined
 * with the number of differing elements. Five starting points are understood: a float head over a quantized
 * embedding (the head becomes MatMulNBits over the embedding's codes), a MatMulNBits head of any width over a
 * quantized embedding, a float embedding under a quantized head (the embedding becomes GatherBlockQuantized over the
 * head's codes), two equal float copies (one is dropped), and a model that is tied already (declined).
 */

import { type Embedding, findEmbedding } from '../anatomy/embedding.ts';
import { findHead, type Head } from '../anatomy/head.ts';
import type { Model } from '../model/model.ts';
import { choice } from './options.ts';
import { defineSurgery, type SurgeryResult } from './surgery.ts';
import { tieFloatCopies, tieFloatEmbedding, tieToEmbedding } from './tie-rewrites.ts';

function decline(node: string, reason: string): SurgeryResult {
  return { changes: [], declined: [{ node, reason }], warnings: [] };
}

function shapeObstacle(embedding: Embedding, head: Head): string | undefined {
  const { linear } = head;
  if (embedding.vocabSize === linear.n && embedding.hiddenSize === linear.k) return undefined;
  return `the head is [${linear.n}, ${linear.k}], the embedding [${embedding.vocabSize}, ${embedding.hiddenSize}]`;
}

function scopeObstacle(model: Model, embedding: Embedding, head: Head): string | undefined {
  const inMain = embedding.node.graph === model.graph && head.linear.node.graph === model.graph;
  return inMain ? undefined : 'head and embedding are not both in the main graph';
}

export default defineSurgery({
  name: 'tie-word-embeddings',
  aliases: ['share-embedding-lm-head', 'TieWordEmbeddings', 'ShareEmbeddingLmHead'],
  summary: 'Store the token embedding and the language-model head once',
  options: {
    tieStyle: choice(['range', 'reshape'], {
      default: 'range',
      help: 'range: two tensors over the same bytes; reshape: one tensor and a Reshape node',
    }),
    accuracyLevel: choice([0, 1, 2, 3, 4], {
      default: 4,
      help: 'accuracy_level of a new MatMulNBits head',
    }),
  },
  async apply(model, options, gates) {
    const head = findHead(model);
    const embedding = findEmbedding(model, head?.linear);
    if (head === undefined) {
      return decline(
        'head',
        'no output leads back to a MatMul, Gemm or MatMulNBits with constant weight',
      );
    }
    const { linear } = head;
    if (embedding === undefined) {
      return decline(
        linear.node.label,
        'no Gather looks up rows of a constant table by a graph input of token ids',
      );
    }
    const obstacle = shapeObstacle(embedding, head) ?? scopeObstacle(model, embedding, head);
    if (obstacle !== undefined) return decline(linear.node.label, obstacle);
    const work = { model, gates, options };
    const outcome =
      embedding.kind === 'quantized'
        ? await tieToEmbedding(work, embedding, linear)
        : linear.kind === 'quantized'
          ? await tieFloatEmbedding(work, embedding, linear)
          : await tieFloatCopies(work, embedding, linear);
    if ('reason' in outcome) return decline(linear.node.label, outcome.reason);
    return {
      changes: [{ node: linear.node.label, what: outcome.what }],
      declined: [],
      warnings: outcome.warnings ?? [],
    };
  },
});
