/** Every tensor of a model in the order of the file, and where it is: what a check and a digest go through. Pure. */

import { isPlainNode, tensorName } from '../proto/deferred.ts';
import type { NodeTape } from '../proto/headers.ts';
import type { onnx } from '../proto/onnx.ts';
import { functionLabel } from './check-functions.ts';
import { innerPlace, type Place } from './findings.ts';
import { NodeNames } from './node-names.ts';

/** The place of a tensor. Of a million tensors few names are shown: they are made when they are. */
export class TensorPlace implements Place {
  readonly #tensor: onnx.ITensorProto | undefined;
  readonly #otherwise: string;
  readonly #place: Place;

  /** @param otherwise what it is called when it has no name */
  constructor(tensor: onnx.ITensorProto | undefined, otherwise: string, place: Place) {
    this.#tensor = tensor;
    this.#otherwise = otherwise;
    this.#place = place;
  }

  get tensor(): string {
    return (this.#tensor && tensorName(this.#tensor)) || this.#otherwise;
  }

  get graph(): string | undefined {
    return this.#place.graph;
  }

  get node(): string | undefined {
    return this.#place.node;
  }
}

/** A tensor, maybe of a sparse one, or a sparse tensor, which comes before its parts. */
export type PlacedTensor =
  | { readonly kind: 'tensor'; readonly proto: onnx.ITensorProto; readonly where: TensorPlace }
  | {
      readonly kind: 'sparse';
      readonly proto: onnx.ISparseTensorProto;
      readonly where: TensorPlace;
      /** An initializer needs a name. */
      readonly isInitializer: boolean;
    };

function placed(proto: onnx.ITensorProto, place: Place, otherwise: string): PlacedTensor {
  return { kind: 'tensor', proto, where: new TensorPlace(proto, otherwise, place) };
}

function* sparse(
  proto: onnx.ISparseTensorProto | null | undefined,
  place: Place,
  otherwise: string,
  isInitializer: boolean,
): Generator<PlacedTensor> {
  if (!proto) return;
  const { values, indices } = proto;
  const where = new TensorPlace(values ?? undefined, otherwise, place);
  yield { kind: 'sparse', proto, where, isInitializer };
  if (values) yield placed(values, place, `${where.tensor} values`);
  if (indices) yield placed(indices, place, `${where.tensor} indices`);
}

/** Goes through the tensors of one model. */
class Places {
  readonly #names: NodeNames;

  constructor(tape: NodeTape) {
    this.#names = new NodeNames(tape);
  }

  *ofGraph(graph: onnx.IGraphProto, place: Place): Generator<PlacedTensor> {
    for (const proto of graph.initializer ?? []) yield placed(proto, place, 'initializer');
    for (const proto of graph.sparseInitializer ?? []) {
      yield* sparse(proto, place, 'sparse initializer', true);
    }
    yield* this.ofNodes(graph.node ?? [], place);
  }

  *ofNodes(nodes: readonly onnx.INodeProto[], place: Place): Generator<PlacedTensor> {
    for (const node of nodes) {
      if (isPlainNode(node)) continue;
      const label = this.#names.label(node);
      yield* this.ofAttributes(node.attribute ?? [], label, { ...place, node: label });
    }
  }

  /** @param holder the node or function that has the attributes */
  *ofAttributes(
    attributes: readonly onnx.IAttributeProto[],
    holder: string,
    place: Place,
  ): Generator<PlacedTensor> {
    for (const attribute of attributes) {
      const name = attribute.name ?? '';
      const here = `${holder}.${name}`;
      if (attribute.t) yield placed(attribute.t, place, here);
      for (const proto of attribute.tensors ?? []) yield placed(proto, place, here);
      yield* sparse(attribute.sparseTensor, place, here, false);
      for (const proto of attribute.sparseTensors ?? []) yield* sparse(proto, place, here, false);
      for (const inner of [...(attribute.g ? [attribute.g] : []), ...(attribute.graphs ?? [])]) {
        yield* this.ofGraph(inner, innerPlace(place, holder, name));
      }
    }
  }
}

/** The tensors of a model: initializers, attributes, functions and their defaults, training information. */
export function* tensorPlaces(model: onnx.IModelProto, tape: NodeTape): Generator<PlacedTensor> {
  const places = new Places(tape);
  if (model.graph) yield* places.ofGraph(model.graph, {});
  for (const body of model.functions ?? []) {
    const graph = functionLabel(body);
    yield* places.ofNodes(body.node ?? [], { graph });
    yield* places.ofAttributes(body.attributeProto ?? [], graph, { graph });
  }
  for (const { initialization, algorithm } of model.trainingInfo ?? []) {
    if (initialization) yield* places.ofGraph(initialization, { graph: 'initialization' });
    if (algorithm) yield* places.ofGraph(algorithm, { graph: 'training algorithm' });
  }
}
