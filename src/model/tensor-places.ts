/**
 * Every place where ONNX lets a TensorProto sit: initializers, node attributes (single, lists, sparse), attribute
 * defaults of functions, training information. Missing one would leave external data behind. Pure.
 */

import { checkedSize } from '../bytes.ts';
import type { DTypeCode } from '../dtypes.ts';
import { nodesOf, tensorHeader, tensorName } from '../proto/deferred.ts';
import type { TensorHeader } from '../proto/headers.ts';
import { longToNumber } from '../proto/int64.ts';
import type { Messages } from '../proto/message-list.ts';
import type { onnx } from '../proto/onnx.ts';
import { checkTensorBytes, Tensor } from './tensor.ts';
import { inlineByteLength, type TensorData } from './tensor-data.ts';

/**
 * Tells where the bytes of a tensor are; throws a FormatError when they cannot be where it says. A header is what is
 * known of a message that is not decoded; then the message may be left out.
 */
export type ResolveTensor = (
  proto: onnx.ITensorProto | undefined,
  name: string,
  header: TensorHeader | undefined,
) => TensorData;

function decodedDims(proto: onnx.ITensorProto, name: string): number[] {
  const what = `a dimension of tensor "${name}"`;
  return (proto.dims ?? []).map((dim) => checkedSize(longToNumber(dim, what), what));
}

/** A Tensor for a TensorProto of a file, its shape checked against its bytes. */
export function tensorFromProto(
  proto: onnx.ITensorProto,
  name: string,
  resolve: ResolveTensor,
): Tensor {
  const header = tensorHeader(proto);
  const dims = header?.dims ?? decodedDims(proto, name);
  const dtype = header?.dataType ?? proto.dataType ?? 0;
  const data = resolve(proto, name, header);
  checkData(name, dtype, dims, data);
  return new Tensor(proto, dtype, dims, data);
}

/** A Tensor for message `index` of a list, of which the header is known. The message is not made for it. */
export function tensorFromHeader(
  list: Messages<onnx.ITensorProto>,
  index: number,
  name: string,
  header: TensorHeader,
  resolve: ResolveTensor,
): Tensor {
  const { dims, dataType } = header;
  const data = resolve(undefined, name, header);
  checkData(name, dataType, dims, data);
  return new Tensor(list, dataType, dims, data, index, header.place);
}

function checkData(
  name: string,
  dtype: DTypeCode,
  dims: readonly number[],
  data: TensorData,
): void {
  if (data.kind === 'range') checkTensorBytes(name, dtype, dims, data.byteLength);
  if (data.kind === 'inline') checkTensorBytes(name, dtype, dims, inlineByteLength(data));
}

type Visit = (proto: onnx.ITensorProto, name: string) => void;

function visitSparse(
  proto: onnx.ISparseTensorProto | null | undefined,
  place: string,
  visit: Visit,
) {
  if (proto?.values) visit(proto.values, tensorName(proto.values) || `${place} values`);
  if (proto?.indices) visit(proto.indices, tensorName(proto.indices) || `${place} indices`);
}

function visitAttribute(attribute: onnx.IAttributeProto, place: string, visit: Visit): void {
  const here = `${place}.${attribute.name ?? ''}`;
  if (attribute.t) visit(attribute.t, tensorName(attribute.t) || here);
  for (const tensor of attribute.tensors ?? []) visit(tensor, tensorName(tensor) || here);
  visitSparse(attribute.sparseTensor, here, visit);
  for (const tensor of attribute.sparseTensors ?? []) visitSparse(tensor, here, visit);
  if (attribute.g) visitGraph(attribute.g, visit, false);
  for (const graph of attribute.graphs ?? []) visitGraph(graph, visit, false);
}

function visitGraph(
  graph: onnx.IGraphProto | onnx.IFunctionProto,
  visit: Visit,
  withInitializers: boolean,
): void {
  if (withInitializers && 'initializer' in graph) {
    for (const tensor of graph.initializer ?? []) visit(tensor, tensorName(tensor));
  }
  if ('sparseInitializer' in graph) {
    for (const tensor of graph.sparseInitializer ?? []) {
      visitSparse(tensor, 'sparse initializer', visit);
    }
  }
  const nodes = nodesOf(graph);
  for (const index of nodes.decoded()) {
    const node = nodes.at(index);
    const place = node.name || `${node.opType ?? ''} → ${node.output?.[0] ?? ''}`;
    for (const attribute of node.attribute ?? []) visitAttribute(attribute, place, visit);
  }
}

function visitOtherTensors(model: onnx.IModelProto, visit: Visit): void {
  if (model.graph) visitGraph(model.graph, visit, false);
  for (const body of model.functions ?? []) {
    visitGraph(body, visit, false);
    for (const attribute of body.attributeProto ?? [])
      visitAttribute(attribute, body.name ?? '', visit);
  }
  for (const training of model.trainingInfo ?? []) {
    if (training.initialization) visitGraph(training.initialization, visit, true);
    if (training.algorithm) visitGraph(training.algorithm, visit, true);
  }
}

/** The tensors that are not initializers of a graph, by their message. */
export class TensorTable {
  readonly #model: onnx.IModelProto;
  readonly #tensors = new Map<onnx.ITensorProto, Tensor>();

  constructor(model: onnx.IModelProto, resolve: ResolveTensor) {
    this.#model = model;
    visitOtherTensors(model, (proto, name) => {
      this.#tensors.set(proto, tensorFromProto(proto, name, resolve));
    });
  }

  /** The tensor of a message, for example of a Constant node's `value`. */
  get(proto: onnx.ITensorProto): Tensor | undefined {
    return this.#tensors.get(proto);
  }

  /** Notes a tensor that is in an attribute now. */
  add(tensor: Tensor): void {
    this.#tensors.set(tensor.proto, tensor);
  }

  /** Tensors the model still holds; nodes that were taken out no longer count. */
  *entries(): Generator<{ readonly name: string; readonly tensor: Tensor }> {
    const found: { name: string; tensor: Tensor }[] = [];
    visitOtherTensors(this.#model, (proto, name) => {
      const tensor = this.#tensors.get(proto);
      if (tensor !== undefined) found.push({ name, tensor });
    });
    yield* found;
  }
}
