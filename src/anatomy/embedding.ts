/** Finds the token-embedding table of a model by what the graph does, not by names. Pure. */

import { intAttribute } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { type QuantizedTable, quantizedGather } from './quantized-table.ts';
import { type ConstantView, traceConstant } from './weight.ts';

/** A float table: one row of `hiddenSize` elements per token. */
export interface FloatEmbedding {
  readonly kind: 'float';
  readonly node: Node;
  readonly table: ConstantView;
  /** `rows` when the stored tensor is [vocab, hidden], `columns` when it is [hidden, vocab]. */
  readonly layout: 'rows' | 'columns';
  readonly vocabSize: number;
  readonly hiddenSize: number;
}

/** A table of a GatherBlockQuantized node. */
export interface QuantizedEmbedding {
  readonly kind: 'quantized';
  readonly node: Node;
  readonly table: QuantizedTable;
  readonly vocabSize: number;
  readonly hiddenSize: number;
}

export type Embedding = FloatEmbedding | QuantizedEmbedding;

/** Operators that may stand between the ids a caller feeds and the Gather, without computing new ids. */
const ID_OPERATORS = new Set([
  'Cast',
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Clip',
  'Slice',
]);

function idsInput(value: Value | undefined): Value | undefined {
  let current = value;
  for (let steps = 0; current !== undefined && steps < 8; steps++) {
    if (current.producer === undefined) return current.isGraphInput ? current : undefined;
    if (current.producer.domain !== '' || !ID_OPERATORS.has(current.producer.opType))
      return undefined;
    current = current.producer.inputs[0];
  }
  return undefined;
}

/** Inputs that hold positions or masks rather than tokens. */
const NOT_TOKENS = /position|mask|cache|token_type|segment|length|len$/i;

function describe(model: Model, node: Node): Embedding | undefined {
  if (node.is('GatherBlockQuantized', 'com.microsoft')) {
    const table = quantizedGather(model, node);
    if (table.kind === 'none') return undefined;
    return { kind: 'quantized', node, table, vocabSize: table.n, hiddenSize: table.k };
  }
  if (!node.is('Gather') || intAttribute(node, 'axis', 0) !== 0) return undefined;
  const table = traceConstant(model, node.inputs[0]);
  const [first, second] = table?.tensor.dims ?? [];
  if (table?.tensor.dims.length !== 2 || first === undefined || second === undefined)
    return undefined;
  return {
    kind: 'float',
    node,
    table,
    layout: table.transposed ? 'columns' : 'rows',
    vocabSize: table.transposed ? second : first,
    hiddenSize: table.transposed ? first : second,
  };
}

/**
 * The table that token ids are looked up in: a Gather (or GatherBlockQuantized) along axis 0 of a 2-D constant whose
 * indices come straight from an input that does not hold positions or masks. Among several, one of the shape of the
 * head wins (n tokens of k elements), then one as tall, then the larger one. Undefined when there is none. Function
 * bodies are left out: their inputs are whatever a caller passes.
 */
export function findEmbedding(
  model: Model,
  head?: { readonly n: number; readonly k: number },
): Embedding | undefined {
  let best: { readonly rank: readonly number[]; readonly embedding: Embedding } | undefined;
  for (const graph of model.graphs()) {
    if (graph.function !== undefined) continue;
    for (const node of graph.nodesOf('Gather', 'GatherBlockQuantized')) {
      const ids = idsInput(node.inputs[1]);
      if (ids === undefined || NOT_TOKENS.test(ids.name)) continue;
      const embedding = describe(model, node);
      if (embedding === undefined) continue;
      const { vocabSize, hiddenSize } = embedding;
      const isAsTall = vocabSize === head?.n;
      const rank = [
        isAsTall && hiddenSize === head?.k ? 1 : 0,
        isAsTall ? 1 : 0,
        vocabSize * hiddenSize,
      ];
      if (best === undefined || isBefore(best.rank, rank)) best = { rank, embedding };
    }
  }
  return best?.embedding;
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const index = a.findIndex((value, i) => value !== b[i]);
  return index >= 0 && (a[index] ?? 0) < (b[index] ?? 0);
}
