/** Where two models differ beside their tensors: interface, versions, metadata, nodes. Pure. */

import { dtypeLabel } from '../dtypes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { longToNumber } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';

/** Something that both models say, each in its way; undefined where one does not say it. */
export interface Difference {
  readonly name: string;
  readonly a: string | undefined;
  readonly b: string | undefined;
}

/** A node by its name (or first result) and operator. */
export interface NodeName {
  readonly name: string;
  readonly operator: string;
}

/** A node that both models have, by its name or by its first result, and that is not the same. */
export interface ChangedNode {
  readonly name: string;
  readonly operatorA: string;
  readonly operatorB: string;
  /** What differs; edges are the names of its inputs and outputs. */
  readonly what: readonly ('operator' | 'edges' | 'attributes')[];
}

export interface GraphDiff {
  /** IR version, producer and operator sets. */
  readonly versions: readonly Difference[];
  readonly metadata: readonly Difference[];
  readonly inputs: readonly Difference[];
  readonly outputs: readonly Difference[];
  /** Operators that do not occur as often in both. */
  readonly operators: readonly Difference[];
  readonly nodesOnlyInA: readonly NodeName[];
  readonly nodesOnlyInB: readonly NodeName[];
  readonly changedNodes: readonly ChangedNode[];
}

type Entries = Iterable<readonly [name: string, text: string]>;

/** Entries that are not the same in both, in the order of `a`, then what only `b` has. */
function differences(a: Entries, b: Entries): Difference[] {
  const [ofA, ofB] = [new Map(a), new Map(b)];
  const found: Difference[] = [];
  for (const [name, text] of ofA) {
    if (ofB.get(name) !== text) found.push({ name, a: text, b: ofB.get(name) });
  }
  for (const [name, text] of ofB) {
    if (!ofA.has(name)) found.push({ name, a: undefined, b: text });
  }
  return found;
}

function* versions(model: Model): Entries {
  yield ['IR version', String(model.irVersion)];
  yield [
    'producer',
    [model.proto.producerName, model.proto.producerVersion].filter(Boolean).join(' '),
  ];
  for (const { domain, version } of model.proto.opsetImport ?? []) {
    yield [`opset of ${domain || 'ai.onnx'}`, String(longToNumber(version, 'an opset version'))];
  }
}

function* metadata({ proto }: Model): Entries {
  for (const { key, value } of proto.metadataProps ?? []) yield [key ?? '', value ?? ''];
}

/** `fp16 [batch, 64, ?]`, or the kind of a value that is no tensor. */
function typeText(info: onnx.IValueInfoProto | undefined): string {
  const type = info?.type;
  const tensor = type?.tensorType;
  if (!tensor) return type ? 'not a tensor' : 'no type';
  const label = dtypeLabel(tensor.elemType ?? 0);
  if (!tensor.shape) return label;
  const dims = (tensor.shape.dim ?? []).map(({ dimParam, dimValue }) => {
    if (dimParam) return dimParam;
    return dimValue === undefined || dimValue === null ? '?' : String(dimValue);
  });
  return `${label} [${dims.join(', ')}]`;
}

function* interfaceOf(values: readonly Value[]): Entries {
  for (const value of values) yield [value.name, typeText(value.info)];
}

function* operators(model: Model): Entries {
  const counts = new Map<string, number>();
  for (const graph of model.graphs()) graph.countOperators(counts);
  for (const [name, count] of counts) yield [name, String(count)];
}

/** Keys that tell the nodes of a model apart: names, or first results; a number where they repeat. */
function nodesByKey(model: Model): Map<string, Node> {
  const nodes = new Map<string, Node>();
  for (const node of model.nodes()) {
    const key = node.name || node.outputs[0]?.name || node.label;
    let unique = key;
    for (let i = 2; nodes.has(unique); i++) unique = `${key} (${i})`;
    nodes.set(unique, node);
  }
  return nodes;
}

function operatorOf({ domain, opType }: Node): string {
  return domain === '' ? opType : `${domain}::${opType}`;
}

/** An attribute without what it has of tensors and graphs, which are compared as tensors and nodes. */
function attributeText({ name, type, f, i, s, floats, ints, strings, t }: onnx.IAttributeProto) {
  const numbers = [f ?? 0, String(i ?? 0), floats ?? [], (ints ?? []).map(String)];
  const texts = [...(s ? [s] : []), ...(strings ?? [])].map((bytes) =>
    Buffer.from(bytes).toString('base64'),
  );
  return JSON.stringify([
    name,
    type ?? 0,
    ...numbers,
    texts,
    t ? [t.dataType, t.dims?.map(String)] : 0,
  ]);
}

function edgesText({ inputs, outputs }: Node): string {
  return JSON.stringify([inputs, outputs].map((values) => values.map((value) => value?.name)));
}

function attributesText({ proto }: Node): string {
  return (proto.attribute ?? []).map(attributeText).sort().join();
}

/** What became of a node; undefined when it is the same. */
function changeOf(name: string, a: Node, b: Node): ChangedNode | undefined {
  const [operatorA, operatorB] = [operatorOf(a), operatorOf(b)];
  const what: ChangedNode['what'][number][] = [];
  if (operatorA !== operatorB) what.push('operator');
  if (edgesText(a) !== edgesText(b)) what.push('edges');
  if (attributesText(a) !== attributesText(b)) what.push('attributes');
  return what.length === 0 ? undefined : { name, operatorA, operatorB, what };
}

/** Nodes of both models by name; those left by their first results; and what is left then. */
function diffNodes(a: Model, b: Model) {
  const [ofA, ofB] = [nodesByKey(a), nodesByKey(b)];
  const changedNodes: ChangedNode[] = [];
  const pair = (name: string, other: string) => {
    const [left, right] = [ofA.get(name), ofB.get(other)];
    if (left === undefined || right === undefined) return;
    const change = changeOf(name, left, right);
    if (change !== undefined) changedNodes.push(change);
    ofA.delete(name);
    ofB.delete(other);
  };
  for (const name of [...ofA.keys()]) pair(name, name);
  const results = new Map([...ofB].map(([name, node]) => [node.outputs[0]?.name, name]));
  for (const [name, node] of [...ofA]) pair(name, results.get(node.outputs[0]?.name) ?? '');
  const left = (nodes: Map<string, Node>): NodeName[] =>
    Array.from(nodes, ([name, node]) => ({ name, operator: operatorOf(node) }));
  return { nodesOnlyInA: left(ofA), nodesOnlyInB: left(ofB), changedNodes };
}

/** Everything but tensors. Equal when every list is empty. */
export function diffGraphs(a: Model, b: Model): GraphDiff {
  return {
    versions: differences(versions(a), versions(b)),
    metadata: differences(metadata(a), metadata(b)),
    inputs: differences(interfaceOf(a.graph.inputs), interfaceOf(b.graph.inputs)),
    outputs: differences(interfaceOf(a.graph.outputs), interfaceOf(b.graph.outputs)),
    operators: differences(operators(a), operators(b)),
    ...diffNodes(a, b),
  };
}

/** True when two graphs are the same. */
export function isSameGraph(diff: GraphDiff): boolean {
  return Object.values(diff).every((list: readonly unknown[]) => list.length === 0);
}
