/** Making a part of the main graph the whole of it. Pure. */

import { tensorName } from '../proto/deferred.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import { calledFunctions, type Part } from './part.ts';
import type { Value } from './value.ts';

/** A value at an end of the graph, with its entry in the list of inputs or outputs. */
export interface End {
  readonly value: Value;
  readonly info: onnx.IValueInfoProto;
}

/** What of the model is not in the part. */
export interface Leftover {
  readonly nodes: number;
  readonly initializers: readonly Value[];
  readonly functions: readonly Graph[];
}

/** Finds what {@link extractPart} would take out. */
export function leftoverOf(model: Model, part: Part): Leftover {
  const { graph, functions } = model;
  const called = calledFunctions(model, part.nodes);
  return {
    nodes: graph.nodes.filter((node) => !part.nodes.has(node)).length,
    initializers: [...graph.initializers.values()].filter((value) => !part.values.has(value)),
    functions: functions.filter((body) => !called.has(body)),
  };
}

/** Replaces the list of outputs. */
function setOutputs(graph: Graph, outputs: readonly End[]): void {
  for (const value of graph.outputs) value.graphOutputCount--;
  graph.outputs.splice(0, graph.outputs.length, ...outputs.map(({ value }) => value));
  for (const value of graph.outputs) value.graphOutputCount++;
}

/** Makes a computed or stored value one that the caller gives. */
function cutOff(model: Model, part: Part, value: Value): void {
  const { graph } = model;
  const node = value.producer;
  if (node !== undefined) {
    const index = node.outputs.indexOf(value);
    // A node that stays for its other results may not leave this one out.
    const spare = part.nodes.has(node)
      ? graph.createValue(model.names.claim(`${value.name}_unused`))
      : undefined;
    node.setOutput(index, spare);
  }
  if (value.tensor !== undefined) graph.initializers.delete(value);
  value.isGraphInput = true;
}

/** Replaces the list of inputs. */
function setInputs(model: Model, part: Part, inputs: readonly End[]): void {
  const { graph } = model;
  const values = inputs.map(({ value }) => value);
  const kept = new Set(values);
  for (const value of graph.inputs) {
    if (kept.has(value)) continue;
    value.isGraphInput = false;
    if (value.tensor === undefined) {
      graph.values.delete(value);
      graph.infos.byValue.delete(value);
    }
  }
  for (const value of values) if (!value.isGraphInput) cutOff(model, part, value);
  graph.inputs.splice(0, graph.inputs.length, ...values);
}

/** Takes out sparse initializers and annotations of what is gone, and entries of `value_info` that are ends now. */
function trimMessage(graph: Graph, part: Part, ends: readonly End[]): void {
  const proto = graph.proto as onnx.IGraphProto;
  const find = (name: string | null | undefined) => graph.values.get(name ?? '');
  const isKept = (value: Value | undefined) => value !== undefined && part.values.has(value);
  const infos = new Set(ends.map(({ info }) => info));
  proto.valueInfo = (proto.valueInfo ?? []).filter((info) => !infos.has(info));
  proto.quantizationAnnotation = (proto.quantizationAnnotation ?? []).filter(
    ({ tensorName: name }) => isKept(find(name)),
  );
  proto.sparseInitializer = (proto.sparseInitializer ?? []).filter(({ values }) => {
    const value = find(values && tensorName(values));
    if (value === undefined || isKept(value)) return true;
    graph.values.delete(value);
    graph.infos.byValue.delete(value);
    return false;
  });
}

/**
 * Makes `part` the main graph, from `inputs` to `outputs`; functions that it does not call go. Everything that `part`
 * computes has to lead back to `inputs`.
 */
export function extractPart(
  model: Model,
  part: Part,
  ends: { readonly inputs: readonly End[]; readonly outputs: readonly End[] },
): void {
  const { graph } = model;
  const { initializers, functions } = leftoverOf(model, part);
  // Entries go with their values, so they are looked up before those change.
  const { byValue } = graph.infos;
  for (const { value, info } of [...ends.outputs, ...ends.inputs]) byValue.set(value, info);
  setOutputs(graph, ends.outputs);
  setInputs(model, part, ends.inputs);
  trimMessage(graph, part, [...ends.inputs, ...ends.outputs]);
  graph.removeNodes(new Set(graph.nodes.filter((node) => !part.nodes.has(node))));
  for (const value of initializers) if (!value.isGraphInput) graph.removeInitializer(value);
  const proto = graph.proto as onnx.IGraphProto;
  proto.input = ends.inputs.map(({ info }) => info);
  proto.output = ends.outputs.map(({ info }) => info);
  const gone = new Set<Graph>(functions);
  model.functions = model.functions.filter((body) => !gone.has(body));
  model.proto.functions = model.functions.map((body) => body.proto as onnx.IFunctionProto);
  model.proto.trainingInfo = [];
}
