/** From values and nodes back to protobuf messages. Pure. */

import { externalHeader, infoName, nodeHeader } from '../proto/deferred.ts';
import { toInt64 } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.js';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';
import type { Value } from './value.ts';

/** Whether `names`, as a message has them, are not those of `values`. Setting equal names would decode the message. */
function differ(
  values: readonly (Value | undefined)[],
  names: readonly string[] | null | undefined,
): boolean {
  return (
    values.length !== (names?.length ?? 0) ||
    values.some((value, index) => (value?.name ?? '') !== names?.[index])
  );
}

function syncNode(node: Node): onnx.INodeProto {
  const { proto } = node;
  const header = nodeHeader(proto);
  const names = (values: readonly (Value | undefined)[]) =>
    values.map((value) => value?.name ?? '');
  if (differ(node.inputs, header.input)) proto.input = names(node.inputs);
  if (differ(node.outputs, header.output)) proto.output = names(node.outputs);
  for (const graph of node.subgraphs) syncGraph(graph);
  return proto;
}

/** Writes name, type and shape of a tensor into its message; the payload is placed by the save plan. */
function syncTensor(value: Value, tensor: Tensor): onnx.ITensorProto {
  const { proto } = tensor;
  const header = externalHeader(proto);
  const isAsRead =
    header?.name === value.name && header.dataType === tensor.dtype && header.dims === tensor.dims;
  if (isAsRead) return proto;
  proto.name = value.name;
  if (proto.dataType !== tensor.dtype) proto.dataType = tensor.dtype;
  proto.dims = tensor.dims.map((dim) => toInt64(dim, 'a dimension'));
  return proto;
}

function named(info: onnx.IValueInfoProto, value: Value): onnx.IValueInfoProto {
  if (infoName(info) !== value.name) info.name = value.name;
  return info;
}

/** Entries of `value_info` but those of values that are gone, in their order, then those of new values. */
function syncValueInfo(graph: Graph): void {
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
  proto.node = graph.nodes.map(syncNode);
  syncValueInfo(graph);
  if (graph.kind === 'function') return;
  const message = proto as onnx.IGraphProto;
  const initializers: onnx.ITensorProto[] = [];
  for (const value of graph.initializers.values()) {
    if (value.tensor !== undefined) initializers.push(syncTensor(value, value.tensor));
  }
  message.initializer = initializers;
  for (const input of graph.inputs) if (input.info !== undefined) named(input.info, input);
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
