/**
 * The places of a decoder where tokens see each other: attention, as one operator or as products around a Softmax, and
 * linear attention with a recurrent state. Found by operators and structure, not by names. Pure.
 */

import type { Graph } from '../model/graph.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { dataInputs } from './data-flow.ts';
import { describeLinear } from './linear.ts';

/** One mixer: what it reads, and the node whose first output is its result. */
export interface Mixer {
  readonly kind: 'attention' | 'linear-attention';
  readonly node: Node;
  /** Queries, keys and values of attention; queries alone where they come packed or have weights of their own. */
  readonly query: Value | undefined;
  readonly key: Value | undefined;
  readonly value: Value | undefined;
}

/** Operators that take queries, keys and values first; keys and values are absent where the three come packed. */
const ATTENTION = new Set([
  'Attention',
  'DecoderMaskedMultiHeadAttention',
  'GroupQueryAttention',
  'MultiHeadAttention',
  'PackedMultiHeadAttention',
  'PagedAttention',
  'SparseAttention',
]);

/** Operators of com.microsoft that hold the weights of queries, keys and values themselves. */
const FUSED_ATTENTION = new Set([
  'Attention',
  'LongformerAttention',
  'PackedAttention',
  'QAttention',
]);

function operatorMixer(node: Node): Mixer | undefined {
  const { opType, domain } = node;
  const none = { query: undefined, key: undefined, value: undefined };
  if (opType === 'LinearAttention') return { kind: 'linear-attention', node, ...none };
  if (domain === 'com.microsoft' && FUSED_ATTENTION.has(opType)) {
    return { kind: 'attention', node, ...none };
  }
  if (!ATTENTION.has(opType) || (domain !== '' && domain !== 'com.microsoft')) return undefined;
  const [query, key, value] = node.inputs;
  return { kind: 'attention', node, query, key, value };
}

function isProduct(model: Model, node: Node): boolean {
  if (!node.is('MatMul') && !node.is('Einsum')) return false;
  if (node.is('Einsum')) return node.inputs.length === 2;
  const linear = describeLinear(model, node);
  return linear?.kind === 'none' && linear.isProduct;
}

/** What may stand between the product that makes scores and the Softmax, and between it and the next product. */
const SCORE_STEPS = 12;

/** The product of queries and keys that a Softmax is over, looking through scale, mask, soft-cap and shape. */
function scoresBefore(model: Model, softmax: Node): Node | undefined {
  let pending = new Set(softmax.inputs.slice(0, 1));
  for (let step = 0; step < SCORE_STEPS && pending.size > 0; step++) {
    const next = new Set<Value | undefined>();
    for (const value of pending) {
      const node = value?.producer;
      if (node === undefined) continue;
      if (isProduct(model, node)) return node;
      if (describeLinear(model, node) !== undefined) continue;
      for (const input of dataInputs(model, node)) next.add(input);
    }
    pending = next;
  }
  return undefined;
}

/** The product of the weights that a Softmax gives and values. */
function productAfter(model: Model, softmax: Node): Node | undefined {
  let value = softmax.outputs[0];
  for (let step = 0; step < SCORE_STEPS && value !== undefined; step++) {
    const reader: Node | undefined = value.consumers.find((node) => !node.is('Shape'));
    if (reader === undefined) return undefined;
    if (isProduct(model, reader)) return reader.inputs[0] === value ? reader : undefined;
    if (describeLinear(model, reader) !== undefined) return undefined;
    value = reader.outputs[0];
  }
  return undefined;
}

/** Every mixer of a graph by the node that gives its result. */
export function findMixers(model: Model, graph: Graph): ReadonlyMap<Node, Mixer> {
  const mixers = new Map<Node, Mixer>();
  for (const node of graph.nodesOf('LinearAttention', ...ATTENTION, ...FUSED_ATTENTION)) {
    const mixer = operatorMixer(node);
    if (mixer !== undefined) mixers.set(node, mixer);
  }
  for (const softmax of graph.nodesOf('Softmax')) {
    if (!softmax.is('Softmax')) continue;
    const product = productAfter(model, softmax);
    const scores = product && scoresBefore(model, softmax);
    if (product === undefined || scores === undefined) continue;
    const [query, key] = scores.inputs;
    mixers.set(product, { kind: 'attention', node: product, query, key, value: product.inputs[1] });
  }
  return mixers;
}
