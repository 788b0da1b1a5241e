/** What of a model can still influence its outputs. Pure. */

import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';

/** Every name that nodes of `graph` and of the bodies below read. Training runs as if part of the main graph. */
function addNamesRead(graph: onnx.IGraphProto | null | undefined, names: Set<string>): void {
  for (const node of graph?.node ?? []) {
    for (const name of node.input ?? []) if (name) names.add(name);
    for (const attribute of node.attribute ?? []) {
      addNamesRead(attribute.g, names);
      for (const body of attribute.graphs ?? []) addNamesRead(body, names);
    }
  }
}

/** Names that something other than a node refers to: quantization annotations and training information. */
export function namesHeldElsewhere(model: Model): Set<string> {
  const held = new Set<string>();
  const add = (entries: readonly onnx.IStringStringEntryProto[] | null | undefined) => {
    for (const { key, value } of entries ?? []) {
      if (key) held.add(key);
      if (value) held.add(value);
    }
  };
  for (const training of model.proto.trainingInfo ?? []) {
    add(training.initializationBinding);
    add(training.updateBinding);
    addNamesRead(training.initialization, held);
    addNamesRead(training.algorithm, held);
  }
  for (const graph of model.graphs()) {
    if (!('quantizationAnnotation' in graph.proto)) continue;
    for (const annotation of graph.proto.quantizationAnnotation ?? []) {
      if (annotation.tensorName) held.add(annotation.tensorName);
      add(annotation.quantParameterTensorNames);
    }
  }
  return held;
}

/** Nodes and constant values that are reached from the outputs of the model. */
export interface Liveness {
  readonly nodes: ReadonlySet<Node>;
  readonly values: ReadonlySet<Value>;
}

/**
 * Marks everything reachable from graph outputs, through all subgraphs and outer scopes. Function bodies are marked
 * from their own outputs, whether or not something calls them. Values that annotations or training information name
 * are alive, and so is an initializer that is also a graph input (before IR 4 every initializer is).
 */
export function findLive(model: Model): Liveness {
  const nodes = new Set<Node>();
  const values = new Set<Value>();
  const pending: Value[] = [];
  const reach = (value: Value | undefined) => {
    if (value !== undefined && !values.has(value)) {
      values.add(value);
      pending.push(value);
    }
  };
  const reachGraph = (graph: Graph) => {
    for (const output of graph.outputs) reach(output);
    for (const input of graph.inputs) reach(input);
  };
  for (const graph of [model.graph, ...model.functions]) reachGraph(graph);
  const held = namesHeldElsewhere(model);
  if (held.size > 0) {
    for (const graph of model.graphs()) for (const name of held) reach(graph.values.get(name));
  }
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    const node = value.producer;
    if (node === undefined || nodes.has(node)) continue;
    nodes.add(node);
    for (const input of node.inputs) reach(input);
    for (const graph of node.subgraphs) reachGraph(graph);
  }
  return { nodes, values };
}

/** What {@link removeDead} took out. */
export interface Removed {
  /** Labels of nodes. */
  readonly nodes: readonly string[];
  /** Names of initializers. */
  readonly initializers: readonly string[];
}

/** Takes out every node and initializer, in all graphs, that cannot influence an output. */
export function removeDead(model: Model): Removed {
  const live = findLive(model);
  const initializers: string[] = [];
  const nodes: string[] = [];
  for (const graph of [...model.graphs()]) {
    const dead = new Set(graph.nodes.filter((node) => !live.nodes.has(node)));
    for (const node of dead) nodes.push(node.label);
    if (dead.size > 0) graph.removeNodes(dead);
    for (const [name, value] of [...graph.initializers]) {
      if (live.values.has(value) || value.isGraphInput) continue;
      graph.removeInitializer(value);
      initializers.push(name);
    }
  }
  return { nodes, initializers };
}

/**
 * Takes out those of `values` that nothing reads any more, and whatever only they needed. What the rest of the model
 * had unread before stays: an edit cleans up after itself, not after others.
 */
export function removeUnread(model: Model, values: Iterable<Value | undefined>): void {
  const held = namesHeldElsewhere(model);
  const isUnread = (value: Value) =>
    value.useCount === 0 && !value.isGraphOutput && !value.isGraphInput && !held.has(value.name);
  const pending = [...values];
  while (pending.length > 0) {
    const value = pending.pop();
    if (value === undefined || !isUnread(value)) continue;
    const node = value.producer;
    if (value.tensor !== undefined) value.graph.removeInitializer(value);
    if (node === undefined || node.subgraphs.length > 0) continue;
    if (node.outputs.some((output) => output !== undefined && !isUnread(output))) continue;
    pending.push(...node.inputs);
    node.graph.removeNodes(new Set([node]));
  }
}

/** Throws nothing: lists the nodes of all graphs that read a value produced by a later node of the same graph. */
export function misorderedNodes(model: Model): Node[] {
  const found: Node[] = [];
  for (const graph of model.graphs()) {
    const seen = new Set<Node>();
    for (const node of graph.nodes) {
      const early = node.inputs.some(
        (input) => input?.producer?.graph === graph && !seen.has(input.producer),
      );
      if (early) found.push(node);
      seen.add(node);
    }
  }
  return found;
}
