/** From protobuf messages to values and nodes. Pure. */

import { FormatError } from '../errors.ts';
import type { onnx } from '../proto/onnx.js';
import { Graph } from './graph.ts';
import type { Names } from './names.ts';
import { Node } from './node.ts';
import { type ResolveTensor, tensorFromProto } from './tensor-places.ts';
import type { Value } from './value.ts';

function where(graph: Graph): string {
  return graph.name === '' ? `the ${graph.kind}` : `${graph.kind} "${graph.name}"`;
}

function declare(graph: Graph, name: string, names: Names): Value {
  if (graph.values.has(name)) {
    throw new FormatError('ERR_MODEL', `${where(graph)} defines the value "${name}" twice`);
  }
  names.add(name);
  return graph.createValue(name);
}

function declareInputs(graph: Graph, names: Names): void {
  for (const entry of graph.proto.input ?? []) {
    const name = typeof entry === 'string' ? entry : (entry.name ?? '');
    const value = declare(graph, name, names);
    value.isGraphInput = true;
    if (typeof entry !== 'string') value.info = entry;
    graph.inputs.push(value);
  }
}

function declareInitializers(
  graph: Graph,
  proto: onnx.IGraphProto,
  resolve: ResolveTensor,
  names: Names,
): void {
  for (const message of proto.initializer ?? []) {
    const name = message.name ?? '';
    const input = graph.values.get(name);
    // A graph input of the same name is the initializer's default-overridable twin, not a second definition.
    const value = input?.isGraphInput && !input.tensor ? input : declare(graph, name, names);
    value.tensor = tensorFromProto(message, name, resolve);
    graph.initializers.set(name, value);
  }
  for (const message of proto.sparseInitializer ?? []) {
    const name = message.values?.name ?? '';
    if (!graph.values.has(name)) declare(graph, name, names);
  }
}

function declareNodes(graph: Graph, names: Names): void {
  for (const proto of graph.proto.node ?? []) {
    const node = new Node(graph, proto);
    if (proto.name) names.add(proto.name);
    proto.output?.forEach((name, index) => {
      node.setOutput(index, name === '' ? undefined : declare(graph, name, names));
    });
    graph.nodes.push(node);
  }
}

function connectNodes(graph: Graph, resolve: ResolveTensor, names: Names): void {
  for (const node of graph.nodes) {
    node.proto.input?.forEach((name, index) => {
      const value = name === '' ? undefined : graph.resolve(name);
      if (name !== '' && value === undefined) {
        throw new FormatError(
          'ERR_MODEL',
          `${where(graph)}: node "${node.label}" reads "${name}", which nothing defines`,
          { details: { node: node.name, value: name } },
        );
      }
      node.setInput(index, value);
    });
    for (const attribute of node.proto.attribute ?? []) {
      for (const body of [...(attribute.g ? [attribute.g] : []), ...(attribute.graphs ?? [])]) {
        node.subgraphs.push(buildGraph('graph', body, graph, resolve, names));
      }
    }
  }
}

function connectOutputs(graph: Graph): void {
  for (const entry of graph.proto.output ?? []) {
    const name = typeof entry === 'string' ? entry : (entry.name ?? '');
    const value = graph.resolve(name);
    if (value === undefined) {
      throw new FormatError(
        'ERR_MODEL',
        `${where(graph)} has the output "${name}", which nothing defines`,
      );
    }
    value.graphOutputCount++;
    // The entry of a body that hands on a value from outside describes it there, not where it comes from.
    if (typeof entry !== 'string' && value.graph === graph) value.info ??= entry;
    graph.outputs.push(value);
  }
}

/** Builds one scope and everything below it. */
export function buildGraph(
  kind: 'graph' | 'function',
  proto: onnx.IGraphProto | onnx.IFunctionProto,
  parent: Graph | undefined,
  resolve: ResolveTensor,
  names: Names,
): Graph {
  const graph = new Graph(kind, proto, parent);
  declareInputs(graph, names);
  if (kind === 'graph') declareInitializers(graph, proto as onnx.IGraphProto, resolve, names);
  declareNodes(graph, names);
  for (const info of proto.valueInfo ?? []) {
    const value = graph.values.get(info.name ?? '');
    if (value !== undefined) value.info ??= info;
    else {
      graph.foreignInfo.add(info);
      // A new value of this name would have the type that the entry states.
      names.add(info.name ?? '');
    }
  }
  connectNodes(graph, resolve, names);
  connectOutputs(graph);
  return graph;
}
