import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { onnx } from '../../src/proto/onnx.ts';
import { arbitraryModel } from './arbitrary-model.ts';
import { field, intField } from './wire-builder.ts';

const schema = readFileSync(new URL('../../src/proto/onnx.proto', import.meta.url), 'utf8');
/** protobufjs reads and writes the same schema by reflection: another implementation to compare with. */
const { root } = protobuf.parse(schema);
const other = (name: string) => {
  const type = root.lookupType(`onnx.${name}`);
  return {
    decode(bytes: Uint8Array) {
      const reader = protobuf.Reader.create(Buffer.from(bytes));
      reader.discardUnknown = false;
      return type.decode(reader);
    },
    encode: (message: object) => Buffer.from(type.encode(message).finish()),
  };
};

const scalars = {
  int64: fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.integer()),
  text: fc.string({ unit: 'grapheme', maxLength: 60 }),
  float: fc.float({ noNaN: true }),
  bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
};

const tensor = fc.record(
  {
    dims: fc.array(scalars.int64, { maxLength: 5 }),
    dataType: fc.integer(),
    segment: fc.record({ begin: scalars.int64, end: scalars.int64 }),
    floatData: fc.array(scalars.float, { maxLength: 40 }),
    int32Data: fc.array(fc.integer(), { maxLength: 40 }),
    stringData: fc.array(scalars.bytes, { maxLength: 3 }),
    int64Data: fc.array(scalars.int64, { maxLength: 40 }),
    name: scalars.text,
    rawData: scalars.bytes,
    doubleData: fc.array(fc.double({ noNaN: true }), { maxLength: 40 }),
    uint64Data: fc.array(fc.bigInt(0n, 2n ** 64n - 1n), { maxLength: 40 }),
    externalData: fc.array(fc.record({ key: scalars.text, value: scalars.text }), { maxLength: 3 }),
  },
  { requiredKeys: [] },
);

/** Numbers of 64 bits in the form protobufjs takes them. */
function withLongs(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const [low, high] = [BigInt.asIntN(32, value), BigInt.asIntN(32, value >> 32n)];
    return new protobuf.util.Long(Number(low), Number(high), false);
  }
  if (Array.isArray(value)) return value.map(withLongs);
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withLongs(item)]));
}

describe('messages by the table', () => {
  test('tensors are written as another implementation writes them, and read back', () => {
    fc.assert(
      fc.property(tensor, (message) => {
        const bytes = onnx.TensorProto.encode(message).finish();
        const expected = other('TensorProto').encode(withLongs(message) as object);
        expect(Buffer.compare(bytes, expected)).toBe(0);
        const again = onnx.TensorProto.encode(onnx.TensorProto.decode(bytes)).finish();
        expect(Buffer.compare(again, bytes)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('models too', () => {
    fc.assert(
      fc.property(arbitraryModel, (message) => {
        const bytes = onnx.ModelProto.encode(message).finish();
        const read = other('ModelProto').decode(bytes);
        expect(Buffer.compare(other('ModelProto').encode(read), bytes)).toBe(0);
        const again = onnx.ModelProto.encode(onnx.ModelProto.decode(bytes)).finish();
        expect(Buffer.compare(again, bytes)).toBe(0);
      }),
      { numRuns: 80 },
    );
  });

  test('bytes that are no message are refused where another implementation refuses them', () => {
    const anything = fc.uint8Array({ maxLength: 24 });
    // Nearly messages: fields of all numbers and wire types that hold one another.
    const nearly = fc
      .array(
        fc.oneof(
          fc.tuple(fc.integer({ min: 0, max: 17 }), anything).map(([n, b]) => field(n, b)),
          fc
            .tuple(fc.integer({ min: 0, max: 17 }), fc.bigInt(0n, 2n ** 64n - 1n))
            .map(([n, v]) => intField(n, v)),
          anything.map((bytes) => [...bytes]),
        ),
        { maxLength: 5 },
      )
      .map((parts) => Uint8Array.from(parts.flat()));
    const result = (decode: () => Uint8Array) => {
      try {
        return Buffer.from(decode()).toString('hex');
      } catch {
        return 'refused';
      }
    };
    let refused = 0;
    fc.assert(
      fc.property(nearly, fc.constantFrom('TensorProto', 'TypeProto'), (bytes, name) => {
        const type = name === 'TensorProto' ? onnx.TensorProto : onnx.TypeProto;
        const ours = result(() => type.encode(type.decode(bytes)).finish());
        const theirs = result(() => other(name).encode(other(name).decode(bytes)));
        if (theirs === 'refused') refused++;
        // Bytes that are not UTF-8 are replaced there and kept here.
        if (theirs.includes('efbfbd')) expect(ours).not.toBe('refused');
        else expect(ours).toBe(theirs);
      }),
      { numRuns: 3000 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('of a oneof the last field stays', () => {
    const dimension = onnx.TensorShapeProto.Dimension;
    const bytes = [...intField(1, 4), ...field(2, 'n')];
    const { dimValue, dimParam } = dimension.decode(Uint8Array.from(bytes));
    expect([dimValue, dimParam]).toEqual([0, 'n']);
    const written = dimension.encode(dimension.decode(Uint8Array.from(bytes))).finish();
    expect([...written]).toEqual(field(2, 'n'));
  });

  test('what a message lacks has a default that nothing can change for others', () => {
    const message = onnx.GraphProto.decode(new Uint8Array());
    message.node.push({ opType: 'Add' });
    expect(onnx.GraphProto.decode(new Uint8Array()).node).toEqual([]);
    expect(Object.isFrozen(onnx.GraphProto.prototype.node)).toBe(true);
    expect(onnx.TensorProto.decode(new Uint8Array())).toMatchObject({ name: '', dataType: 0 });
  });
});
