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
 * indices come straight from a graph input. Among several, tables read by something other than positions or masks
 * win, then one as tall as the head is wide (`headWidth`), then the larger one. Undefined when there is none.
 */
export function findEmbedding(model: Model, headWidth?: number): Embedding | undefined {
  let best: { readonly rank: readonly number[]; readonly embedding: Embedding } | undefined;
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      if (node.opType !== 'Gather' && node.opType !== 'GatherBlockQuantized') continue;
      const ids = idsInput(node.inputs[1]);
      if (ids === undefined || NOT_TOKENS.test(ids.name)) continue;
      const embedding = describe(model, node);
      if (embedding === undefined) continue;
      const rank = [
        embedding.vocabSize === headWidth ? 1 : 0,
        embedding.vocabSize * embedding.hiddenSize,
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
