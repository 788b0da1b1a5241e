/** From protobuf messages to values and nodes. Pure. */

import { FormatError } from '../errors.ts';
import { infoName, interfaceOf, nodesOf, tensorNameId } from '../proto/deferred.ts';
import { DECODED, type NodeTape } from '../proto/headers.ts';
import type { Messages } from '../proto/message-list.ts';
import { NO_NAME } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.ts';
import { Graph } from './graph.ts';
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

/** Numbers of the names of inputs or outputs; of functions they are names alone. */
function interfaceIds({ kind, proto, tape }: Graph, side: 'input' | 'output'): Int32Array {
  if (kind === 'function') {
    const names = (proto as onnx.IFunctionProto)[side] ?? [];
    return Int32Array.from(names, (name) => tape.names.internText(name));
  }
  const entries = interfaceOf(proto as onnx.IGraphProto, side);
  const ids = entries.marks();
  for (let index = 0; index < ids.length; index++) {
    if ((ids[index] as number) >= 0) continue;
    ids[index] = tape.names.internText(infoName(entries.at(index)));
  }
  return ids;
}

function declareInputs(graph: Graph): void {
  for (const [index, id] of interfaceIds(graph, 'input').entries()) {
    declare(graph, id, Declared.INPUT, index);
    const value = graph.values.byId(id);
    if (value !== undefined) graph.inputs.push(value);
  }
}

function declareInitializers(graph: Graph, proto: onnx.IGraphProto): void {
  const { initializers } = graph;
  for (let index = 0; index < initializers.length; index++) {
    const id = initializers.id(index);
    // A graph input of the same name is the initializer's default-overridable twin, not a second definition.
    const input = graph.values.madeById(id);
    if (!input?.isGraphInput || input.tensor !== undefined) {
      declare(graph, id, Declared.INITIALIZER, index);
    }
    const tensor = initializers.tensor(index);
    if (input) input.tensor = tensor;
  }
  proto.sparseInitializer?.forEach(({ values }, index) => {
    const id = values ? tensorNameId(values, graph.tape) : NO_NAME;
    if (!graph.values.isDeclared(id)) declare(graph, id, Declared.SPARSE, index);
  });
}

/** The record of a node that had to be decoded. */
function recordOf(node: onnx.INodeProto, tape: NodeTape): number {
  const id = (name: string | null | undefined) => tape.names.internText(name ?? '');
  const at = tape.begin();
  for (const input of node.input ?? []) tape.push(id(input));
  for (const output of node.output ?? []) tape.push(id(output));
  tape.end(at, id(node.opType), id(node.domain), id(node.name), node.input?.length ?? 0);
  return at;
}

/** Where the record of each node is. */
function recordsOf(nodes: Messages<onnx.INodeProto>, tape: NodeTape): Int32Array {
  const records = nodes.marks();
  for (let index = 0; index < records.length; index++) {
    if (records[index] === DECODED) records[index] = recordOf(nodes.at(index), tape);
  }
  return records;
}

function declareOutputs(graph: Graph): void {
  const { tape, records } = graph;
  const { data } = tape;
  for (let index = 0; index < records.length; index++) {
    const record = records[index] as number;
    const first = tape.firstOutput(record);
    const end = first + tape.outputCount(record);
    for (let at = first; at < end; at++) {
      const id = data[at] as number;
      if (id !== NO_NAME) declare(graph, id, Declared.OUTPUT, index);
    }
  }
}

function checkInputs(graph: Graph): void {
  const { tape, records } = graph;
  const { data } = tape;
  for (let index = 0; index < records.length; index++) {
    const record = records[index] as number;
    const first = tape.firstInput(record);
    const end = first + tape.inputCount(record);
    for (let at = first; at < end; at++) {
      const id = data[at] as number;
      if (id === NO_NAME || graph.isDeclared(id)) continue;
      const node = graph.fileNode(index);
      const value = tape.names.text(id);
      throw new FormatError(
        'ERR_MODEL',
        `${where(graph)}: node "${node.label}" reads "${value}", which nothing defines`,
        { details: { node: node.name, value } },
      );
    }
  }
}

function buildSubgraphs(
  graph: Graph,
  nodes: Messages<onnx.INodeProto>,
  context: BuildContext,
): void {
  for (const index of nodes.decoded()) {
    const attributes = nodes.at(index).attribute ?? [];
    const bodies = attributes.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...(graphs ?? [])]);
    if (bodies.length === 0) continue;
    const node = graph.fileNode(index);
    for (const body of bodies) node.subgraphs.push(buildGraph('graph', body, graph, context));
  }
}

function connectOutputs(graph: Graph): void {
  for (const id of interfaceIds(graph, 'output')) {
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

/** Builds one scope and everything below it. Throws a FormatError for dangling and doubly defined names. */
export function buildGraph(
  kind: 'graph' | 'function',
  proto: onnx.IGraphProto | onnx.IFunctionProto,
  parent: Graph | undefined,
  context: BuildContext,
): Graph {
  const nodes = nodesOf(proto);
  const records = recordsOf(nodes, context.tape);
  const graph = new Graph(kind, proto, parent, context, nodes, records);
  declareInputs(graph);
  if (kind === 'graph') declareInitializers(graph, proto as onnx.IGraphProto);
  declareOutputs(graph);
  checkInputs(graph);
  buildSubgraphs(graph, nodes, context);
  connectOutputs(graph);
  return graph;
}
