/** A whole model in memory, without payload bytes. Pure. */

import { infoName } from '../proto/deferred.ts';
import { NodeTape } from '../proto/headers.ts';
import { longToNumber, toInt64 } from '../proto/int64.ts';
import { NameTable } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.ts';
import { AttributeType } from './attributes.ts';
import { buildGraph } from './build.ts';
import type { Graph } from './graph.ts';
import type { NamedTensor, NumberedTensors } from './initializers.ts';
import { Names } from './names.ts';
import { type Node, plainDomain } from './node.ts';
import type { Tensor } from './tensor.ts';
import type { Derivation } from './tensor-data.ts';
import { type ResolveTensor, TensorTable } from './tensor-places.ts';
import type { Value } from './value.ts';
import { Wiring } from './wiring.ts';

/** From this IR version on an initializer need not be an input of the graph. */
export const FREE_INITIALIZERS_IR = 4;

/** Lists of tensors one after the other. */
function joined(lists: readonly NumberedTensors[]): NumberedTensors {
  const full = lists.filter(({ length }) => length > 0);
  let total = 0;
  const parts = full.map((list) => {
    const first = total;
    total += list.length;
    return { list, first };
  });
  return {
    length: total,
    at(number) {
      const part = parts.findLast(({ first }) => first <= number);
      return part?.list.at(number - part.first);
    },
  };
}

/** The model: its main graph, its local functions, and everything else of the ModelProto as it came. */
export class Model {
  readonly proto: onnx.IModelProto;
  readonly graph: Graph;
  functions: readonly Graph[];
  readonly names = new Names(() => this.#usedNames());
  /** Tensors outside the graphs' initializers: attributes, sparse tensors, training information. */
  readonly otherTensors: TensorTable;
  readonly #derivations = new Map<string, Derivation>();

  /**
   * Builds the graph of a decoded ModelProto. `resolve` says where each tensor's bytes are and checks them.
   * `tape` is that of the decoded model; left out for messages that were made. Throws a FormatError for a graph no runtime could load: dangling or doubly defined names.
   */
  constructor(
    proto: onnx.IModelProto,
    resolve: ResolveTensor,
    tape: NodeTape = new NodeTape(new NameTable(), 'the model'),
  ) {
    this.proto = proto;
    proto.graph ??= {};
    const context = { tape, wiring: new Wiring(), resolve };
    this.graph = buildGraph('graph', proto.graph, undefined, context);
    this.functions = (proto.functions ?? []).map((body) =>
      buildGraph('function', body, undefined, context),
    );
    this.otherTensors = new TensorTable(proto, resolve);
  }

  /** Main graph, its subgraphs, function bodies and their subgraphs; outer scopes first. */
  *graphs(): Generator<Graph> {
    const pending: Graph[] = [...this.functions].reverse();
    pending.push(this.graph);
    for (let graph = pending.pop(); graph !== undefined; graph = pending.pop()) {
      yield graph;
      for (const node of graph.holders) pending.push(...node.subgraphs);
    }
  }

  *#usedNames(): Generator<string> {
    for (const graph of this.graphs()) {
      yield* graph.values.keys();
      for (const node of graph.nodes) yield node.name;
      // A new value of this name would have the type that the entry states.
      for (const info of graph.infos.foreign) yield infoName(info);
    }
  }

  /** Nodes of all graphs. */
  *nodes(): Generator<Node> {
    for (const graph of this.graphs()) yield* graph.nodes;
  }

  /** Nodes of all graphs that are of one of these operators, whatever their domain. */
  *nodesOf(...opTypes: readonly string[]): Generator<Node> {
    for (const graph of this.graphs()) yield* graph.nodesOf(...opTypes);
  }

  /** Every tensor of the model, wherever ONNX allows one to sit, with the name to use in messages. */
  *tensors(): Generator<NamedTensor> {
    for (const graph of this.graphs()) {
      yield* graph.initializers.tensors();
    }
    yield* this.otherTensors.entries();
  }

  /** The tensors by number, in the order of {@link tensors}, until an edit adds one or takes one out. */
  tensorList(): NumberedTensors {
    const others = [...this.otherTensors.entries()];
    const lists: NumberedTensors[] = [...this.graphs()].map((graph) => graph.initializers.list());
    return joined([...lists, { length: others.length, at: (number) => others[number] }]);
  }

  /**
   * Interns a derivation by kernel, parameters and sources: equal descriptions are one object, so that whatever is
   * asked for twice is made and stored once.
   */
  derive(derivation: Derivation): Derivation {
    const sources = derivation.sources.map((range) => [
      range.file.path,
      range.file.fd,
      range.byteOffset,
      range.byteLength,
    ]);
    const parameters = Object.entries(derivation.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([derivation.kernel, parameters, sources]);
    const known = this.#derivations.get(key);
    if (known !== undefined) return known;
    this.#derivations.set(key, derivation);
    return derivation;
  }

  get irVersion(): number {
    return longToNumber(this.proto.irVersion, 'ir_version');
  }

  /** Imported version of an operator set, or undefined. */
  opsetVersion(domain: string): number | undefined {
    const found = this.proto.opsetImport?.find((entry) => plainDomain(entry.domain) === domain);
    return found?.version === undefined || found.version === null
      ? undefined
      : longToNumber(found.version, 'an opset version');
  }

  /**
   * Imports an operator set for the nodes of a graph, if that is not done yet; an existing version stays. The body of a
   * function has imports of its own, beside those of the model.
   */
  importOpset(domain: string, version: number, graph: Graph): void {
    for (const owner of [this.proto, ...(graph.function === undefined ? [] : [graph.function])]) {
      if (owner.opsetImport?.some((entry) => plainDomain(entry.domain) === domain)) continue;
      owner.opsetImport = [
        ...(owner.opsetImport ?? []),
        { domain, version: toInt64(version, 'an opset version') },
      ];
    }
  }

  /**
   * A constant for the readers of `like` in the scope of `like`, itself an initializer or the output of a Constant node:
   * an initializer where there can be one, else a Constant node. The name must be free: take it from {@link names}.
   */
  createConstant(name: string, tensor: Tensor, like: Value): Value {
    const { graph } = like;
    const isFree = graph.kind === 'graph' && this.irVersion >= FREE_INITIALIZERS_IR;
    if (isFree || like.producer === undefined) return graph.createInitializer(name, tensor);
    const { proto } = tensor;
    proto.dataType = tensor.dtype;
    proto.dims = tensor.dims.map((dim) => toInt64(dim, 'a dimension'));
    const node = graph.createNode({ opType: 'Constant', name: '', inputs: [], outputs: [name] });
    node.proto.attribute = [{ name: 'value', type: AttributeType.TENSOR, t: proto }];
    this.otherTensors.add(tensor);
    graph.insertBefore(like.producer, node);
    return node.outputs[0] as Value;
  }
}
