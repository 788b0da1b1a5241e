/** Everything a serialized model consists of, whichever graph, function or training step it is in. Pure. */

import { isPlainNode } from '../proto/deferred.ts';
import type { onnx } from '../proto/onnx.ts';

/** A graph, a node or an entry of `input`, `output` and `value_info`, and the function it belongs to, if any. */
export type FoundMessage = { readonly owner: onnx.IFunctionProto | undefined } & (
  | { readonly kind: 'graph'; readonly graph: onnx.IGraphProto }
  | { readonly kind: 'node'; readonly node: onnx.INodeProto }
  | { readonly kind: 'info'; readonly info: onnx.IValueInfoProto }
);

/** Name of a node for messages: its own, or its operator and first output when it has none. */
export function nodeLabel({ name, opType, output }: onnx.INodeProto): string {
  return name || `${opType ?? ''} → ${output?.[0] ?? '?'}`;
}

type Owner = onnx.IFunctionProto | undefined;

function* attributeMessages(
  attributes: readonly onnx.IAttributeProto[] | null | undefined,
  owner: Owner,
): Generator<FoundMessage> {
  for (const { g, graphs } of attributes ?? []) {
    if (g) yield* graphMessages(g, owner);
    for (const graph of graphs ?? []) yield* graphMessages(graph, owner);
  }
}

function* nodeMessages(
  nodes: readonly onnx.INodeProto[] | null | undefined,
  owner: Owner,
): Generator<FoundMessage> {
  for (const node of nodes ?? []) {
    yield { kind: 'node', node, owner };
    if (!isPlainNode(node)) yield* attributeMessages(node.attribute, owner);
  }
}

function* graphMessages(graph: onnx.IGraphProto, owner: Owner): Generator<FoundMessage> {
  yield { kind: 'graph', graph, owner };
  for (const infos of [graph.input, graph.output, graph.valueInfo]) {
    for (const info of infos ?? []) yield { kind: 'info', info, owner };
  }
  yield* nodeMessages(graph.node, owner);
}

/**
 * Main graph, functions and training, with all bodies in them, as the messages stand: of an edited model give
 * `syncModel(model)`. Nothing is decoded for it; look with `peek`.
 */
export function* messagesOf(model: onnx.IModelProto): Generator<FoundMessage> {
  if (model.graph) yield* graphMessages(model.graph, undefined);
  for (const owner of model.functions ?? []) {
    for (const info of owner.valueInfo ?? []) yield { kind: 'info', info, owner };
    yield* nodeMessages(owner.node, owner);
    yield* attributeMessages(owner.attributeProto, owner);
  }
  for (const { initialization, algorithm } of model.trainingInfo ?? []) {
    if (initialization) yield* graphMessages(initialization, undefined);
    if (algorithm) yield* graphMessages(algorithm, undefined);
  }
}
