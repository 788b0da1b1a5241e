/** From protobuf messages to values and nodes. Pure. */

import { FormatError } from '../errors.ts';
import { infoName, isPlainNode, tapeRecord, tensorNameId } from '../proto/deferred.ts';
import type { NodeTape } from '../proto/headers.ts';
import { NO_NAME } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.js';
import { Graph } from './graph.ts';
import { Node } from './node.ts';
import { Declared, type DeclaredKind } from './scope.ts';
import type { ResolveTensor } from './tensor-places.ts';
import type { Wiring } from './wiring.ts';

/** What all graphs of a model have in common. */
export interface BuildContext {
  readonly tape: NodeTape;
  readonly wiring: Wiring;
  readonly resolve: ResolveTensor;
}

function where(graph: Graph): string {
  return graph.name === '' ? `the ${graph.kind}` : `${graph.kind} "${graph.name}"`;
}

function declare(graph: Graph, id: number, kind: DeclaredKind, index: number): void {
  if (graph.values.declare(id, kind, index)) return;
  const name = graph.tape.names.text(id);
  throw new FormatError('ERR_MODEL', `${where(graph)} defines the value "${name}" twice`);
}

/** Number of the name of an entry of `input` or `output`: of functions they are names alone. */
function entryId(graph: Graph, entry: onnx.IValueInfoProto | string): number {
  return graph.tape.names.internText(typeof entry === 'string' ? entry : infoName(entry));
}

function declareInputs(graph: Graph): void {
  graph.proto.input?.forEach((entry, index) => {
    const id = entryId(graph, entry);
    declare(graph, id, Declared.INPUT, index);
    const value = graph.values.byId(id);
    if (value !== undefined) graph.inputs.push(value);
  });
}

function declareInitializers(graph: Graph, proto: onnx.IGraphProto): void {
  const { initializers } = graph;
  proto.initializer?.forEach((_, index) => {
    const id = initializers.id(index);
    // A graph input of the same name is the initializer's default-overridable twin, not a second definition.
    const input = graph.values.madeById(id);
    if (!input?.isGraphInput || input.tensor !== undefined) {
      declare(graph, id, Declared.INITIALIZER, index);
    }
    const tensor = initializers.tensor(index);
    if (input) input.tensor = tensor;
  });
  proto.sparseInitializer?.forEach(({ values }, index) => {
    const id = values ? tensorNameId(values, graph.tape) : NO_NAME;
    if (!graph.values.isDeclared(id)) declare(graph, id, Declared.SPARSE, index);
  });
}

/** The record of a node; made here for one that had to be decoded. */
function recordOf(node: onnx.INodeProto, tape: NodeTape): number {
  const record = tapeRecord(node);
  if (record !== undefined) return record;
  const id = (name: string | null | undefined) => tape.names.internText(name ?? '');
  const at = tape.begin();
  for (const input of node.input ?? []) tape.push(id(input));
  for (const output of node.output ?? []) tape.push(id(output));
  tape.end(at, id(node.opType), id(node.domain), id(node.name), node.input?.length ?? 0);
  return at;
}

function declareNodes(graph: Graph, records: readonly number[]): void {
  const { tape } = graph;
  graph.proto.node?.forEach((proto, index) => {
    const record = records[index] as number;
    graph.addFileNode(new Node(graph, proto, record));
    for (let output = 0; output < tape.outputCount(record); output++) {
      const id = tape.output(record, output);
      if (id !== NO_NAME) declare(graph, id, Declared.OUTPUT, index);
    }
  });
}

function checkInputs(graph: Graph, records: readonly number[]): void {
  const { tape } = graph;
  for (const [index, record] of records.entries()) {
    for (let input = 0; input < tape.inputCount(record); input++) {
      const id = tape.input(record, input);
      if (id === NO_NAME || graph.isDeclared(id)) continue;
      const node = graph.nodes[index] as Node;
      const value = tape.names.text(id);
      throw new FormatError(
        'ERR_MODEL',
        `${where(graph)}: node "${node.label}" reads "${value}", which nothing defines`,
        { details: { node: node.name, value } },
      );
    }
  }
}

function buildSubgraphs(graph: Graph, context: BuildContext): void {
  for (const node of graph.nodes) {
    if (isPlainNode(node.proto)) continue;
    for (const attribute of node.proto.attribute ?? []) {
      for (const body of [...(attribute.g ? [attribute.g] : []), ...(attribute.graphs ?? [])]) {
        node.subgraphs.push(buildGraph('graph', body, graph, context));
      }
    }
  }
}

function connectOutputs(graph: Graph): void {
  for (const entry of graph.proto.output ?? []) {
    const id = entryId(graph, entry);
    const value = graph.resolveId(id);
    if (value === undefined) {
      const name = graph.tape.names.text(id);
      throw new FormatError(
        'ERR_MODEL',
        `${where(graph)} has the output "${name}", which nothing defines`,
      );
    }
    value.graphOutputCount++;
    graph.outputs.push(value);
  }
}

/** How many values a graph declares, if none twice. */
function declarationCount(
  proto: onnx.IGraphProto | onnx.IFunctionProto,
  records: readonly number[],
  { tape }: BuildContext,
): number {
  const constants =
    'initializer' in proto
      ? (proto.initializer?.length ?? 0) + (proto.sparseInitializer?.length ?? 0)
      : 0;
  const outputs = records.reduce((sum, record) => sum + tape.outputCount(record), 0);
  return (proto.input?.length ?? 0) + constants + outputs;
}

/** Builds one scope and everything below it. Throws a FormatError for dangling and doubly defined names. */
export function buildGraph(
  kind: 'graph' | 'function',
  proto: onnx.IGraphProto | onnx.IFunctionProto,
  parent: Graph | undefined,
  context: BuildContext,
): Graph {
  const records = (proto.node ?? []).map((node) => recordOf(node, context.tape));
  const graph = new Graph(kind, proto, parent, context, declarationCount(proto, records, context));
  declareInputs(graph);
  if (kind === 'graph') declareInitializers(graph, proto as onnx.IGraphProto);
  declareNodes(graph, records);
  checkInputs(graph, records);
  buildSubgraphs(graph, context);
  connectOutputs(graph);
  return graph;
}
