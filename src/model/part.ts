/** The part of the main graph that lies between values: what a model of its own for it consists of. Pure. */

import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import { groupBy } from './groups.ts';
import type { Model } from './model.ts';
import { type Node, plainDomain } from './node.ts';
import type { Value } from './value.ts';

/** Nodes of a graph, and the values that they and the outputs read. */
export interface Part {
  readonly nodes: ReadonlySet<Node>;
  readonly values: ReadonlySet<Value>;
}

/** Nodes of a body and of the bodies below it. */
function* nodesBelow(graph: Graph): Generator<Node> {
  for (const node of graph.nodes) {
    yield node;
    for (const body of node.subgraphs) yield* nodesBelow(body);
  }
}

/** Values of the node's own graph that its bodies read or hand out, whether or not anything comes of it. */
function* capturedValues({ graph, subgraphs }: Node): Generator<Value> {
  const isCaptured = (value: Value | undefined): value is Value => value?.graph === graph;
  const pending = [...subgraphs];
  for (let body = pending.pop(); body !== undefined; body = pending.pop()) {
    yield* body.outputs.filter(isCaptured);
    for (const node of body.nodes) {
      yield* node.inputs.filter(isCaptured);
      pending.push(...node.subgraphs);
    }
  }
}

/** What an annotation names beside the value that it describes. */
function parametersOf(
  graph: Graph,
  { quantParameterTensorNames }: onnx.ITensorAnnotation,
): (Value | undefined)[] {
  return (quantParameterTensorNames ?? []).map(({ value }) => graph.values.get(value ?? ''));
}

/**
 * Everything that `outputs` are computed from, back to `inputs` and no further. What quantization annotations say
 * of these values belongs to them.
 */
export function partBetween(
  model: Model,
  inputs: ReadonlySet<Value>,
  outputs: Iterable<Value>,
): Part {
  const { graph } = model;
  const nodes = new Set<Node>();
  const values = new Set<Value>();
  const pending: Value[] = [];
  const reach = (value: Value | undefined) => {
    if (value === undefined || values.has(value)) return;
    values.add(value);
    pending.push(value);
  };
  const follow = () => {
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      const node = value.producer;
      if (node === undefined || inputs.has(value) || nodes.has(node)) continue;
      nodes.add(node);
      for (const input of node.inputs) reach(input);
      for (const captured of capturedValues(node)) reach(captured);
    }
  };
  for (const output of outputs) reach(output);
  follow();
  for (const annotation of (graph.proto as onnx.IGraphProto).quantizationAnnotation ?? []) {
    const value = graph.values.get(annotation.tensorName ?? '');
    if (value === undefined || !values.has(value)) continue;
    for (const parameter of parametersOf(graph, annotation)) reach(parameter);
    follow();
  }
  return { nodes, values };
}

function functionKey(domain: string | null | undefined, name: string | null | undefined): string {
  return `${plainDomain(domain)} ${name ?? ''}`;
}

/** The functions that `nodes` call, and those that these call; of a name that is overloaded, all. */
export function calledFunctions(model: Model, nodes: Iterable<Node>): Set<Graph> {
  const called = new Set<Graph>();
  const functions = groupBy(model.functions, (body) => {
    const { domain, name } = body.proto as onnx.IFunctionProto;
    return functionKey(domain, name);
  });
  if (functions.size === 0) return called;
  const visit = ({ domain, opType }: Node) => {
    for (const body of functions.get(functionKey(domain, opType)) ?? []) called.add(body);
  };
  for (const node of nodes) {
    visit(node);
    for (const body of node.subgraphs) for (const inner of nodesBelow(body)) visit(inner);
  }
  // Functions that are added while the set is walked get their turn.
  for (const body of called) for (const node of nodesBelow(body)) visit(node);
  return called;
}
