/** What a caller of the codec does with payloads: find the tensors, and copy their bytes to the new file. */

import { type DecodedModel, type EncodedModel, encodeModel } from '../../src/proto/codec.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import type { ByteReader } from '../../src/proto/wire.ts';

/** Every TensorProto of a model, wherever one can sit. */
export function* tensorsOf(model: onnx.IModelProto): Generator<onnx.ITensorProto> {
  if (model.graph) yield* graphTensors(model.graph);
  for (const info of model.trainingInfo ?? []) {
    if (info.initialization) yield* graphTensors(info.initialization);
    if (info.algorithm) yield* graphTensors(info.algorithm);
  }
  for (const fn of model.functions ?? []) {
    yield* attributeTensors(fn.attributeProto ?? []);
    for (const node of fn.node ?? []) yield* attributeTensors(node.attribute ?? []);
  }
}

function* graphTensors(graph: onnx.IGraphProto): Generator<onnx.ITensorProto> {
  yield* graph.initializer ?? [];
  for (const sparse of graph.sparseInitializer ?? []) yield* sparseTensors(sparse);
  for (const node of graph.node ?? []) yield* attributeTensors(node.attribute ?? []);
}

function* attributeTensors(attributes: onnx.IAttributeProto[]): Generator<onnx.ITensorProto> {
  for (const attribute of attributes) {
    if (attribute.t) yield attribute.t;
    yield* attribute.tensors ?? [];
    if (attribute.sparseTensor) yield* sparseTensors(attribute.sparseTensor);
    for (const sparse of attribute.sparseTensors ?? []) yield* sparseTensors(sparse);
    if (attribute.g) yield* graphTensors(attribute.g);
    for (const graph of attribute.graphs ?? []) yield* graphTensors(graph);
  }
}

function* sparseTensors(sparse: onnx.ISparseTensorProto): Generator<onnx.ITensorProto> {
  if (sparse.values) yield sparse.values;
  if (sparse.indices) yield sparse.indices;
}

/** Byte lengths of all payloads that decoding left out. */
export function elidedPayloads(decoded: DecodedModel): Map<onnx.ITensorProto, number> {
  const byteLengths = new Map<onnx.ITensorProto, number>();
  for (const tensor of tensorsOf(decoded.model)) {
    const payload = decoded.payloadOf(tensor);
    if (payload) byteLengths.set(tensor, payload.byteLength);
  }
  return byteLengths;
}

/** A stretch of a serialized model: bytes, or the place of a payload. */
export type Segment =
  | { readonly kind: 'bytes'; readonly byteOffset: number; readonly bytes: Uint8Array }
  | {
      readonly kind: 'payload';
      readonly byteOffset: number;
      readonly byteLength: number;
      readonly tensor: onnx.ITensorProto;
    };

/** What a serialized model consists of; bytes that follow one another are one segment. */
export function segmentsOf(encoded: EncodedModel): Segment[] {
  const segments: Segment[] = [];
  encoded.writeTo({
    bytes(bytes, byteOffset) {
      const last = segments.at(-1);
      if (last?.kind !== 'bytes') {
        segments.push({ kind: 'bytes', byteOffset, bytes: Uint8Array.from(bytes) });
        return;
      }
      const joined = Uint8Array.from(Buffer.concat([last.bytes, bytes]));
      segments.splice(-1, 1, { ...last, bytes: joined });
    },
    payload(tensor, byteOffset, byteLength) {
      segments.push({ kind: 'payload', byteOffset, byteLength, tensor });
    },
  });
  return segments;
}

/** All bytes of a model without payloads. */
export function bytesOf(model: onnx.IModelProto): Uint8Array {
  const segments = segmentsOf(encodeModel(model, new Map()));
  return segments[0]?.kind === 'bytes' ? segments[0].bytes : new Uint8Array(0);
}

/** The complete file, payloads copied from the source they were decoded from. */
export function assemble(
  encoded: EncodedModel,
  decoded: DecodedModel,
  source: ByteReader,
): Uint8Array {
  const file = new Uint8Array(encoded.byteLength);
  for (const segment of segmentsOf(encoded)) {
    if (segment.kind === 'bytes') {
      file.set(segment.bytes, segment.byteOffset);
    } else {
      const payload = decoded.payloadOf(segment.tensor);
      if (!payload) throw new Error('a payload segment for a tensor without payload');
      file.set(source.read(payload.byteOffset, payload.byteLength), segment.byteOffset);
    }
  }
  return file;
}
