import { describe, expect, test } from 'vitest';
import { FormatError, PreconditionError } from '../../src/errors.ts';
import { decodeModel, encodeModel } from '../../src/proto/codec.ts';
import { nodesOf } from '../../src/proto/deferred.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { assemble, bytesOf, elidedPayloads, segmentsOf, tensorsOf } from './payloads.ts';
import { field, floats, intField, pattern } from './wire-builder.ts';

function decode(bytes: Iterable<number>) {
  const source = memoryReader(Uint8Array.from(bytes));
  return { source, decoded: decodeModel(source, 'test.onnx') };
}

/** A model of which `content` is the only initializer. */
function withInitializer(content: Iterable<number>): number[] {
  return field(7, field(5, content));
}

function onlyTensor(model: onnx.IModelProto): onnx.ITensorProto {
  const [tensor] = tensorsOf(model);
  if (!tensor) throw new Error('no tensor');
  return tensor;
}

function reencode(bytes: Iterable<number>): Uint8Array {
  const { source, decoded } = decode(bytes);
  return assemble(encodeModel(decoded.model, elidedPayloads(decoded)), decoded, source);
}

describe('decodeModel', () => {
  test('an empty file is an error, though protobuf calls it a message', () => {
    expect(() => decode([])).toThrow(FormatError);
    expect(() => decode([])).toThrow('test.onnx: the file is empty');
  });

  test('an error of the decoder itself names the file', () => {
    const packedInts = field(7, [0x80]);
    expect(() => decode(withInitializer(packedInts))).toThrow(FormatError);
    expect(() => decode(withInitializer(packedInts))).toThrow('test.onnx: not a valid ONNX model');
  });

  test.each([
    ['raw_data', 9, pattern(256)],
    ['float_data', 4, floats(...Array.from({ length: 64 }, (_, i) => i / 3))],
    ['double_data', 10, new Uint8Array(Float64Array.from({ length: 32 }, Math.sqrt).buffer)],
  ] as const)('256 bytes of %s stay in the file', (name, number, payload) => {
    const bytes = withInitializer([...field(8, 'w'), ...field(number, payload)]);
    const { source, decoded } = decode(bytes);
    const found = decoded.payloadOf(onlyTensor(decoded.model));
    expect(found).toEqual({ byteOffset: bytes.length - 256, byteLength: 256, field: name });
    expect(source.read(found?.byteOffset ?? 0, 256)).toEqual(payload);
  });

  test.each([
    ['raw_data', field(9, pattern(255))],
    ['float_data', field(4, new Uint8Array(252))],
    ['float_data, one tag per number', Array.from({ length: 40 }, () => [37, 0, 0, 0, 1]).flat()],
    ['int64_data', field(7, new Uint8Array(500))],
    ['int32_data', field(5, new Uint8Array(500))],
    ['string_data', field(6, new Uint8Array(500))],
    ['doc_string', field(12, 'x'.repeat(500))],
    ['an unknown field', field(300, new Uint8Array(500))],
  ])('%s is decoded', (_, content) => {
    const { decoded } = decode(withInitializer(content));
    expect(decoded.payloadOf(onlyTensor(decoded.model))).toBeUndefined();
    expect(reencode(withInitializer(content)).length).toBeGreaterThan(100);
  });

  test('tokens of another file are data', () => {
    const { decoded } = decode(withInitializer(field(9, pattern(300))));
    const token = onlyTensor(decoded.model).rawData ?? new Uint8Array(0);
    expect(token.length).toBe(20);
    const forged = decode(withInitializer(field(9, token))).decoded;
    expect(forged.payloadOf(onlyTensor(forged.model))).toBeUndefined();
  });

  test('a tensor that leaves one field out keeps its others', () => {
    const content = [...field(4, new Uint8Array(320)), ...field(9, pattern(160))];
    const { decoded } = decode(withInitializer(content));
    const tensor = onlyTensor(decoded.model);
    expect(decoded.payloadOf(tensor)?.field).toBe('float_data');
    expect(Uint8Array.from(tensor.rawData ?? [])).toEqual(pattern(160));
    expect([...reencode(withInitializer(content))]).toEqual(withInitializer(content));
  });
});

describe('what protobuf merges', () => {
  const small = field(9, pattern(8, 1));
  const large = field(9, pattern(200, 2));
  const larger = field(9, pattern(300, 3));
  const fewFloats = field(4, floats(1, 2, 3));
  const manyFloats = field(4, floats(...Array.from({ length: 50 }, (_, i) => i)));

  /** The model as protobuf understands it without any help from the scanner. */
  function merged(bytes: Iterable<number>): Uint8Array {
    return onnx.ModelProto.encode(onnx.ModelProto.decode(Uint8Array.from(bytes))).finish();
  }

  test.each([
    ['the last raw_data wins: large, larger', [...large, ...larger]],
    ['the last raw_data wins: large, small', [...large, ...small]],
    ['the last raw_data wins: small, large', [...small, ...large]],
    ['chunks of float_data join', [...manyFloats, ...manyFloats]],
    ['a chunk joins numbers with a tag each', [...manyFloats, 37, 0, 0, 0, 1]],
    ['few floats join many', [...fewFloats, ...manyFloats]],
  ])('%s', (_, content) => {
    const bytes = withInitializer([...content, ...field(8, 'w')]);
    expect(Buffer.from(reencode(bytes))).toEqual(Buffer.from(merged(bytes)));
  });

  const attribute = (content: number[]) => field(7, field(1, field(5, content)));
  const sparse = (content: number[]) => field(7, field(15, content));
  test.each([
    ['a tensor attribute', attribute([...field(5, manyFloats), ...field(5, manyFloats)])],
    ['a tensor attribute with raw_data', attribute([...field(5, large), ...field(5, larger)])],
    ['raw_data over floats', attribute([...field(5, manyFloats), ...field(5, large)])],
    ['sparse values', sparse([...field(1, manyFloats), ...field(1, fewFloats)])],
    [
      'a sparse attribute',
      attribute([...field(22, field(1, manyFloats)), ...field(22, field(1, manyFloats))]),
    ],
    [
      'graphs',
      [...field(7, [...field(2, 'a'), ...field(5, large)]), ...field(7, field(5, manyFloats))],
    ],
  ])('in two pieces: %s', (_, bytes) => {
    expect(Buffer.from(reencode(bytes))).toEqual(Buffer.from(merged(bytes)));
  });
});

describe('encodeModel', () => {
  const lengths = [0, 1, 20, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152];

  test.each(lengths)('a payload of %i bytes has its place in the file', (byteLength) => {
    const tensor: onnx.ITensorProto = { name: 'w', dims: [byteLength], dataType: 2 };
    const model: onnx.IModelProto = {
      irVersion: 10,
      graph: { initializer: [{ name: 'before' }, tensor], docString: 'after' },
    };
    const encoded = encodeModel(model, new Map([[tensor, byteLength]]));
    const { byteLength: total } = encoded;
    const payload = pattern(byteLength);
    const file = new Uint8Array(total).fill(0xee);
    let next = 0;
    for (const segment of segmentsOf(encoded)) {
      expect(segment.byteOffset).toBe(next);
      if (segment.kind === 'bytes') {
        file.set(segment.bytes, segment.byteOffset);
        next += segment.bytes.length;
      } else {
        expect(segment.tensor).toBe(tensor);
        file.set(payload, segment.byteOffset);
        next += segment.byteLength;
      }
    }
    expect(next).toBe(total);
    expect(tensor).toEqual({ name: 'w', dims: [byteLength], dataType: 2 });
    tensor.rawData = payload;
    expect(Buffer.compare(file, onnx.ModelProto.encode(model).finish())).toBe(0);
  });

  test('what was looked at and what was changed is written among what was not', () => {
    const node = (index: number): onnx.INodeProto => ({ name: `n${index}`, opType: 'Add' });
    const nodes = Array.from({ length: 5000 }, (_, index) => node(index));
    const model = { graph: { node: nodes, valueInfo: [{ name: 'a' }, { name: 'b' }] } };
    const bytes = onnx.ModelProto.encode(model).finish();
    const decoded = decodeModel(memoryReader(bytes), 'nodes.onnx');
    const list = decoded.model.graph && nodesOf(decoded.model.graph);
    for (const index of [0, 7, 8, 4999]) expect(list?.at(index).name).toBe(`n${index}`);
    for (const index of [1, 2, 2500]) {
      const changed = list?.at(index);
      if (changed) changed.docString = 'changed';
      (nodes[index] as onnx.INodeProto).docString = 'changed';
    }
    expect(Buffer.compare(bytesOf(decoded.model), onnx.ModelProto.encode(model).finish())).toBe(0);
  });

  const texts = [0, 1_000, 900_000, 1_048_400, 1_048_576, 1_100_000, 3_000_000];

  test.each(texts)('a graph with a text of %i bytes is written as if it were held', (length) => {
    const node = (share: number) => ({ opType: 'Add', docString: 'd'.repeat(length * share) });
    const withTensor = (tensor: onnx.ITensorProto): onnx.IModelProto => ({
      graph: { node: [node(0.1), node(0.5), node(0.25)], initializer: [tensor], name: 'g' },
      opsetImport: [{ domain: '', version: 21 }],
      functions: [
        { name: 'f', node: [node(0.5), node(0.1)] },
        { name: 'g', node: [node(0.6)] },
      ],
    });
    const payload = pattern(3000);
    const tensor: onnx.ITensorProto = { name: 'w', dims: [3000], dataType: 2 };
    const expected = onnx.ModelProto.encode(withTensor({ ...tensor, rawData: payload })).finish();
    const encoded = encodeModel(withTensor(tensor), new Map([[tensor, payload.length]]));
    expect(encoded.byteLength).toBe(expected.length);
    for (const again of [1, 2]) {
      const file = new Uint8Array(expected.length).fill(again);
      encoded.writeTo({
        bytes: (bytes, byteOffset) => file.set(bytes, byteOffset),
        payload: (_, byteOffset) => file.set(payload, byteOffset),
      });
      expect(Buffer.compare(file, expected)).toBe(0);
    }
  });

  test('payloads in nested graphs lengthen every message around them', () => {
    const inner: onnx.ITensorProto = { name: 'inner' };
    const outer: onnx.ITensorProto = { name: 'outer', rawData: Uint8Array.of(1, 2, 3) };
    const graph = { node: [{ attribute: [{ name: 'value', t: inner }] }], initializer: [outer] };
    const model = { graph: { node: [{ attribute: [{ name: 'then', g: graph }] }] } };
    const encoded = encodeModel(
      model,
      new Map([
        [inner, 500],
        [outer, 70_000],
      ]),
    );
    expect(outer.rawData).toEqual(Uint8Array.of(1, 2, 3));
    inner.rawData = new Uint8Array(500);
    outer.rawData = new Uint8Array(70_000);
    expect(encoded.byteLength).toBe(onnx.ModelProto.encode(model).finish().length);
    expect(segmentsOf(encoded).map(({ kind }) => kind)).toEqual([
      'bytes',
      'payload',
      'bytes',
      'payload',
    ]);
  });

  test('a payload may change its length, and moves to raw_data when its field is cleared', () => {
    const content = [...field(4, new Uint8Array(320)), ...field(8, 'w')];
    const { decoded } = decode(withInitializer(content));
    const tensor = onlyTensor(decoded.model);
    expect(encodeModel(decoded.model, new Map([[tensor, 80]])).byteLength).toBe(
      withInitializer([...field(4, new Uint8Array(80)), ...field(8, 'w')]).length,
    );
    tensor.floatData = [];
    const [text] = segmentsOf(encodeModel(decoded.model, new Map([[tensor, 40]])));
    if (text?.kind !== 'bytes') throw new Error('the file begins with bytes');
    const raw = withInitializer([...field(8, 'w'), ...field(9, new Uint8Array(40))]);
    expect([...text.bytes]).toEqual(raw.slice(0, -40));
    expect(decoded.payloadOf(tensor)).toBeUndefined();
  });

  test('a payload that is forgotten is an error', () => {
    const { decoded } = decode(withInitializer(field(9, pattern(300))));
    expect(() => encodeModel(decoded.model, new Map())).toThrow(PreconditionError);
    onlyTensor(decoded.model).rawData = pattern(300);
    expect(encodeModel(decoded.model, new Map()).byteLength).toBe(
      withInitializer(field(9, pattern(300))).length,
    );
  });

  test('a payload of a tensor that is not in the model is an error', () => {
    const lost: onnx.ITensorProto = { name: 'lost' };
    expect(() => encodeModel({ graph: {} }, new Map([[lost, 200]]))).toThrow(
      '1 tensors to place are not in the model',
    );
    expect(lost).toEqual({ name: 'lost' });
  });

  test('2 GiB do not fit one file', () => {
    const [a, b]: onnx.ITensorProto[] = [{ name: 'a' }, { name: 'b' }];
    if (!a || !b) throw new Error();
    const model = { graph: { initializer: [a, b] } };
    const encode = (byteLength: number) =>
      encodeModel(
        model,
        new Map([
          [a, 2 ** 30],
          [b, byteLength],
        ]),
      );
    const overhead = encode(2 ** 30 - 64).byteLength - (2 ** 31 - 64);
    expect(encode(2 ** 30 - 1 - overhead).byteLength).toBe(2 ** 31 - 1);
    expect(() => encode(2 ** 30 - overhead)).toThrow('the model would have 2147483648 bytes');
  });

  test('a graph that contains itself is an error', () => {
    const graph: onnx.IGraphProto = {};
    graph.node = [{ attribute: [{ g: graph }] }];
    expect(() => encodeModel({ graph }, new Map())).toThrow(PreconditionError);
  });

  test('model metadata keeps its numbers', () => {
    const bytes = [...intField(1, 10), ...intField(5, -1), ...field(7, [])];
    expect([...reencode(bytes)]).toEqual(bytes);
  });
});
