/** From values and nodes back to protobuf messages. Pure. */

import { toInt64 } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.js';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';
import type { Value } from './value.ts';

function syncNode(node: Node): onnx.INodeProto {
  const { proto } = node;
  proto.input = node.inputs.map((value) => value?.name ?? '');
  proto.output = node.outputs.map((value) => value?.name ?? '');
  for (const graph of node.subgraphs) syncGraph(graph);
  return proto;
}

/** Writes name, type and shape of a tensor into its message; the payload is placed by the save plan. */
function syncTensor(value: Value, tensor: Tensor): onnx.ITensorProto {
  const { proto } = tensor;
  proto.name = value.name;
  if (proto.dataType !== tensor.dtype) proto.dataType = tensor.dtype;
  proto.dims = tensor.dims.map((dim) => toInt64(dim, 'a dimension'));
  return proto;
}

function namedInfo(value: Value): onnx.IValueInfoProto[] {
  if (value.info === undefined) return [];
  value.info.name = value.name;
  return [value.info];
}

/** Entries of `value_info` but those of values that are gone, in their order, then those of new values. */
function syncValueInfo(graph: Graph): void {
  const listed = new Set(graph.proto.valueInfo ?? []);
  const kept: onnx.IValueInfoProto[] = [];
  const known = new Set<onnx.IValueInfoProto>();
  const isInterface = (value: Value) => value.isGraphInput || graph.outputs.includes(value);
  const byInfo = new Map<onnx.IValueInfoProto, Value>();
  for (const value of graph.values.values()) {
    if (value.info !== undefined) byInfo.set(value.info, value);
  }
  for (const info of listed) {
    const value = byInfo.get(info);
    if (value !== undefined) kept.push(...namedInfo(value));
    else if (graph.values.has(info.name ?? '') || graph.foreignInfo.has(info)) kept.push(info);
    known.add(info);
  }
  for (const [info, value] of byInfo) {
    if (!known.has(info) && !isInterface(value)) kept.push(...namedInfo(value));
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
  for (const input of graph.inputs) namedInfo(input);
  message.output?.forEach((info, index) => {
    const output = graph.outputs[index];
    if (output !== undefined) info.name = output.name;
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
