/** Renaming values of the main graph, with everything that refers to them by name. Pure. */

import { infoName, peek, tensorName } from '../proto/deferred.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import { namesHeldElsewhere } from './liveness.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';

/** New names by old ones. */
type NewNames = ReadonlyMap<string, string>;

/** The graph and every body below it; functions see no names but their own. */
function* graphsBelow(graph: Graph): Generator<Graph> {
  yield graph;
  for (const node of graph.nodes) for (const body of node.subgraphs) yield* graphsBelow(body);
}

function describe(value: Value): string {
  if (value.isGraphInput) return 'an input';
  if (value.graph.outputs.includes(value)) return 'an output';
  return value.producer === undefined ? 'an initializer' : `made by node "${value.producer.label}"`;
}

/** Names that a graph outside of the model's graphs defines: those of training. */
function* namesDefined(graph: onnx.IGraphProto): Generator<string> {
  for (const info of graph.input ?? []) yield infoName(info);
  for (const tensor of graph.initializer ?? []) yield tensorName(tensor);
  for (const { values } of graph.sparseInitializer ?? []) if (values) yield tensorName(values);
  for (const node of graph.node ?? []) yield* peek(node).output ?? [];
}

/**
 * Those of `wanted` that values of the main graph cannot have, and what has them: values of the main graph or of a
 * body below it, whose readers would read something else; and whatever mentions a name that nothing defines yet.
 * @param leaving names of the main graph that are given up at the same time
 */
export function takenNames(
  model: Model,
  wanted: ReadonlySet<string>,
  leaving: ReadonlySet<string>,
): Map<string, string> {
  const taken = new Map<string, string>();
  const take = (name: string, by: string) => {
    if (wanted.has(name) && !taken.has(name)) taken.set(name, by);
  };
  for (const graph of graphsBelow(model.graph)) {
    const isMain = graph === model.graph;
    for (const name of wanted) {
      const value = graph.values.get(name);
      if (value === undefined || (isMain && leaving.has(name))) continue;
      take(name, `${describe(value)}${isMain ? '' : ` of the body "${graph.name}"`}`);
    }
    for (const info of graph.infos.foreign) {
      const name = infoName(info);
      if (!leaving.has(name)) take(name, 'described by value_info');
    }
  }
  for (const { algorithm } of model.proto.trainingInfo ?? []) {
    for (const name of namesDefined(algorithm ?? {}))
      take(name, 'defined by the training algorithm');
  }
  for (const name of namesHeldElsewhere(model)) {
    if (!leaving.has(name)) take(name, 'named by an annotation or by training');
  }
  return taken;
}

/** `names` without those that mean something else where `isOwn` names are defined. */
function visibleNames(names: NewNames, isOwn: (name: string) => boolean): NewNames {
  return new Map([...names].filter(([name]) => !isOwn(name)));
}

function renameAnnotations(graph: onnx.IGraphProto, names: NewNames): void {
  for (const annotation of graph.quantizationAnnotation ?? []) {
    const name = names.get(annotation.tensorName ?? '');
    if (name !== undefined) annotation.tensorName = name;
    renameEntries(annotation.quantParameterTensorNames, 'value', names);
  }
}

function renameEntries(
  entries: readonly onnx.IStringStringEntryProto[] | null | undefined,
  field: 'key' | 'value',
  names: NewNames,
): void {
  for (const entry of entries ?? []) {
    const name = names.get(entry[field] ?? '');
    if (name !== undefined) entry[field] = name;
  }
}

function renameInfos(
  infos: readonly onnx.IValueInfoProto[] | null | undefined,
  names: NewNames,
): void {
  for (const info of infos ?? []) {
    const name = names.get(infoName(info));
    if (name !== undefined) info.name = name;
  }
}

function renameShards(node: onnx.INodeProto, names: NewNames): void {
  if (!peek(node).deviceConfigurations?.length) return;
  for (const { shardingSpec } of node.deviceConfigurations ?? []) {
    for (const spec of shardingSpec ?? []) {
      const name = names.get(spec.tensorName ?? '');
      if (name !== undefined) spec.tensorName = name;
    }
  }
}

/** What a graph says of values beside its nodes, inputs, outputs and initializers, which have the values themselves. */
function renameInGraph(graph: Graph, names: NewNames): void {
  const proto = graph.proto as onnx.IGraphProto;
  renameInfos(proto.valueInfo, names);
  renameAnnotations(proto, names);
  for (const { values } of proto.sparseInitializer ?? []) {
    const name = names.get(values ? tensorName(values) : '');
    if (values && name !== undefined) values.name = name;
  }
  for (const node of graph.nodes) {
    for (const body of node.subgraphs) {
      const visible = visibleNames(names, (name) => body.values.has(name));
      if (visible.size > 0) renameInGraph(body, visible);
    }
  }
}

/** A graph of training, which the model's graphs do not include: messages alone. */
function renameInMessages(graph: onnx.IGraphProto, outer: NewNames): void {
  const own = new Set(namesDefined(graph));
  const names = visibleNames(outer, (name) => own.has(name));
  if (names.size === 0) return;
  renameInfos(graph.valueInfo, names);
  renameInfos(graph.output, names);
  renameAnnotations(graph, names);
  for (const node of graph.node ?? []) {
    if (peek(node).input?.some((name) => names.has(name))) {
      node.input = (node.input ?? []).map((name) => names.get(name) ?? name);
    }
    renameShards(node, names);
    for (const { g, graphs } of peek(node).attribute ?? []) {
      for (const body of [...(g ? [g] : []), ...(graphs ?? [])]) renameInMessages(body, names);
    }
  }
}

/** The algorithm runs as if it followed the main graph; what initializes sees nothing of it. */
function renameInTraining(training: onnx.ITrainingInfoProto, names: NewNames): void {
  if (training.algorithm) renameInMessages(training.algorithm, names);
  renameEntries(training.initializationBinding, 'key', names);
  renameEntries(training.updateBinding, 'key', names);
  renameEntries(training.updateBinding, 'value', names);
}

/**
 * Gives values of the main graph other names, all at once, wherever the model refers to them: nodes and bodies,
 * `value_info`, annotations, sharding, sparse initializers, training. The names must be free ({@link takenNames}) or
 * be given up by others of these values.
 */
export function renameValues(model: Model, names: ReadonlyMap<Value, string>): void {
  const newNames = new Map([...names].map(([value, name]) => [value.name, name]));
  const sharding = new Map<Node, Map<string, string>>();
  for (const [value, name] of names) {
    for (const node of [...(value.producer ? [value.producer] : []), ...value.consumers]) {
      const ofNode = sharding.get(node) ?? new Map<string, string>();
      sharding.set(node, ofNode.set(value.name, name));
    }
  }
  model.graph.renameValues(names);
  renameInGraph(model.graph, newNames);
  for (const [node, ofNode] of sharding) renameShards(node.proto, ofNode);
  for (const training of model.proto.trainingInfo ?? []) renameInTraining(training, newNames);
  for (const name of names.values()) model.names.add(name);
}
