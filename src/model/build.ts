/** From protobuf messages to values and nodes. Pure. */

import { FormatError } from '../errors.ts';
import { infoName, isPlainNode, nodeHeader, tensorName } from '../proto/deferred.ts';
import type { onnx } from '../proto/onnx.js';
import { Graph } from './graph.ts';
import { Node } from './node.ts';
import { type ResolveTensor, tensorFromProto } from './tensor-places.ts';
import type { Value } from './value.ts';

function where(graph: Graph): string {
  return graph.name === '' ? `the ${graph.kind}` : `${graph.kind} "${graph.name}"`;
}

function declare(graph: Graph, name: string): Value {
  if (graph.values.has(name)) {
    throw new FormatError('ERR_MODEL', `${where(graph)} defines the value "${name}" twice`);
  }
  return graph.createValue(name);
}

function declareInputs(graph: Graph): void {
  for (const entry of graph.proto.input ?? []) {
    const name = typeof entry === 'string' ? entry : infoName(entry);
    const value = declare(graph, name);
    value.isGraphInput = true;
    graph.inputs.push(value);
  }
}

function declareInitializers(graph: Graph, proto: onnx.IGraphProto, resolve: ResolveTensor): void {
  for (const message of proto.initializer ?? []) {
    const name = tensorName(message);
    const input = graph.values.get(name);
    // A graph input of the same name is the initializer's default-overridable twin, not a second definition.
    const value = input?.isGraphInput && !input.tensor ? input : declare(graph, name);
    value.tensor = tensorFromProto(message, name, resolve);
    graph.initializers.set(name, value);
  }
  for (const message of proto.sparseInitializer ?? []) {
    const name = message.values ? tensorName(message.values) : '';
    if (!graph.values.has(name)) declare(graph, name);
  }
}

function declareNodes(graph: Graph): void {
  for (const proto of graph.proto.node ?? []) {
    const node = new Node(graph, proto);
    nodeHeader(proto).output?.forEach((name, index) => {
      node.setOutput(index, name === '' ? undefined : declare(graph, name));
    });
    graph.nodes.push(node);
  }
}

function connectNodes(graph: Graph, resolve: ResolveTensor): void {
  for (const node of graph.nodes) {
    nodeHeader(node.proto).input?.forEach((name, index) => {
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
    if (isPlainNode(node.proto)) continue;
    for (const attribute of node.proto.attribute ?? []) {
      for (const body of [...(attribute.g ? [attribute.g] : []), ...(attribute.graphs ?? [])]) {
        node.subgraphs.push(buildGraph('graph', body, graph, resolve));
      }
    }
  }
}

function connectOutputs(graph: Graph): void {
  for (const entry of graph.proto.output ?? []) {
    const name = typeof entry === 'string' ? entry : infoName(entry);
    const value = graph.resolve(name);
    if (value === undefined) {
      throw new FormatError(
        'ERR_MODEL',
        `${where(graph)} has the output "${name}", which nothing defines`,
      );
    }
    value.graphOutputCount++;
    graph.outputs.push(value);
  }
}

/** Builds one scope and everything below it. */
export function buildGraph(
  kind: 'graph' | 'function',
  proto: onnx.IGraphProto | onnx.IFunctionProto,
  parent: Graph | undefined,
  resolve: ResolveTensor,
): Graph {
  const graph = new Graph(kind, proto, parent);
  declareInputs(graph);
  if (kind === 'graph') declareInitializers(graph, proto as onnx.IGraphProto, resolve);
  declareNodes(graph);
  connectNodes(graph, resolve);
  connectOutputs(graph);
  return graph;
}
