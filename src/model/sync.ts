/** From values and nodes back to protobuf messages. Pure. */

import { infoName, tensorHeader, tensorName } from '../proto/deferred.ts';
import { toInt64 } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';
import type { Value } from './value.ts';

function syncNode(node: Node): onnx.INodeProto {
  const { proto } = node;
  for (const graph of node.subgraphs) syncGraph(graph);
  if (node.isUnchanged) return proto;
  const names = (values: readonly (Value | undefined)[]) =>
    values.map((value) => value?.name ?? '');
  proto.input = names(node.inputs);
  proto.output = names(node.outputs);
  return proto;
}

/** Whether the message, as it came, says what the tensor is. Setting what it says already would decode it. */
function isUnchanged(value: Value, { proto, dtype, dims }: Tensor): boolean {
  const header = tensorHeader(proto);
  return (
    header !== undefined &&
    tensorName(proto) === value.name &&
    header.dataType === dtype &&
    header.dims.length === dims.length &&
    header.dims.every((dim, index) => dim === dims[index])
  );
}

/** Writes name, type and shape of a tensor into its message; the payload is placed by the save plan. */
function syncTensor(value: Value, tensor: Tensor): onnx.ITensorProto {
  const { proto } = tensor;
  if (isUnchanged(value, tensor)) return proto;
  proto.name = value.name;
  if (proto.dataType !== tensor.dtype) proto.dataType = tensor.dtype;
  proto.dims = tensor.dims.map((dim) => toInt64(dim, 'a dimension'));
  return proto;
}

function named(info: onnx.IValueInfoProto, value: Value): onnx.IValueInfoProto {
  if (infoName(info) !== value.name) info.name = value.name;
  return info;
}

/** The list of nodes stays that of the file, not made, where it is. */
function syncNodes(graph: Graph): void {
  const { changeable } = graph;
  if (changeable === undefined) graph.proto.node = graph.nodes.map(syncNode);
  else changeable.forEach(syncNode);
}

/** Entries of `value_info` but those of values that are gone, in their order, then those of new values. */
function syncValueInfo(graph: Graph): void {
  if (!graph.hasInfos) return;
  const { byValue, foreign } = graph.infos;
  const described = new Map<onnx.IValueInfoProto, Value>();
  for (const [value, info] of byValue) described.set(info, value);
  const kept: onnx.IValueInfoProto[] = [];
  const known = new Set(graph.proto.valueInfo ?? []);
  for (const info of known) {
    const value = described.get(info);
    if (value !== undefined) kept.push(named(info, value));
    else if (graph.values.has(infoName(info)) || foreign.has(info)) kept.push(info);
  }
  const interfaces = new Set<Value>([...graph.inputs, ...graph.outputs]);
  for (const [value, info] of byValue) {
    if (!known.has(info) && !interfaces.has(value)) kept.push(named(info, value));
  }
  graph.proto.valueInfo = kept;
}

function syncGraph(graph: Graph): void {
  const { proto } = graph;
  syncNodes(graph);
  syncValueInfo(graph);
  if (graph.kind === 'function') return;
  const message = proto as onnx.IGraphProto;
  const initializers = graph.initializers.messages(syncTensor);
  if (initializers !== undefined) message.initializer = initializers;
  // Whoever renames a value asks for these.
  if (graph.hasInfos) {
    for (const input of graph.inputs) if (input.info !== undefined) named(input.info, input);
  }
  message.output?.forEach((info, index) => {
    const output = graph.outputs[index];
    if (output !== undefined) named(info, output);
  });
}

/**
 * Brings `model.proto` up to date with its graphs. The lists of inputs and outputs stay as they came: an edit
 * replaces the producer of an output value, never its place.
 */
export function syncModel(model: Model): onnx.IModelProto {
  for (const graph of [model.graph, ...model.functions]) syncGraph(graph);
  return model.proto;
}
