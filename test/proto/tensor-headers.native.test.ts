import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatExternalReference,
  parseExternalReference,
} from '../../src/external-data/reference.ts';
import { decodeModel } from '../../src/proto/codec.ts';
import { initializersOf, tensorHeader } from '../../src/proto/deferred.ts';
import type { TensorHeader } from '../../src/proto/headers.ts';
import { TensorHeaders } from '../../src/proto/tensor-headers.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { field, intField, varint } from './wire-builder.ts';

const number = fc.oneof(
  fc.constantFrom(0n, 1n, 127n, 128n, 2n ** 27n, 2n ** 28n, 2n ** 40n, -1n),
  fc.nat().map(BigInt),
);
const text = fc.constantFrom('w.data', 'x.data', 'é', '', '0', '64', '+4', '007', '9'.repeat(16));
const entry = fc
  .tuple(fc.constantFrom('location', 'offset', 'length', 'checksum', 'basepath'), text)
  .map(([key, value]) => field(13, [...field(1, key), ...field(2, value)]));
const external = fc
  .tuple(fc.constantFrom('w.data', 'x.data'), fc.nat(), fc.nat(), fc.nat({ max: 40 }))
  .map(([location, offset, length, dim]) => {
    const entries = { location, offset, length };
    return [
      ...intField(1, dim),
      ...intField(2, 1),
      ...Object.entries(entries).flatMap(([key, value]) =>
        field(13, [...field(1, key), ...field(2, String(value))]),
      ),
      ...intField(14, 1),
    ];
  });
const any = fc
  .array(
    fc.oneof(
      number.map((dim) => intField(1, dim)),
      fc.array(number, { maxLength: 11 }).map((dims) =>
        field(
          1,
          dims.flatMap((dim) => varint(dim)),
        ),
      ),
      fc.nat({ max: 30 }).map((type) => intField(2, type)),
      fc.constantFrom(0, 1, 2).map((location) => intField(14, location)),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => field(9, bytes)),
      fc.constant(field(12, 'words')),
      entry,
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.flat());

/** What a header says; of external data what its entries come to, an error included. */
function seen(header: TensorHeader | undefined) {
  if (header === undefined) return undefined;
  const { dims, dataType, rawByteLength, externalData, place } = header;
  const refer = () => {
    if (place !== undefined || externalData === undefined) return place;
    const { location, byteOffset, byteLength, unknownKeys } = parseExternalReference(
      externalData,
      'w',
    );
    if (unknownKeys.length > 0) return unknownKeys;
    const found = { location, byteOffset, byteLength };
    const plain = formatExternalReference({ ...found, byteLength: byteLength ?? 0 });
    return { ...found, isPlain: JSON.stringify(externalData) === JSON.stringify(plain) };
  };
  let reference: unknown;
  try {
    reference = refer();
  } catch (error) {
    reference = String(error);
  }
  const raw = reference === undefined ? [rawByteLength, ...header.rawData()] : [];
  return { dims: [...dims], dataType, reference, raw };
}

describe('headers of tensors', () => {
  test('are what each message says', () => {
    let places = 0;
    fc.assert(
      fc.property(fc.array(fc.oneof(external, any), { maxLength: 8 }), (tensors) => {
        const graph = tensors.flatMap((content, i) => field(5, [...field(8, `w${i}`), ...content]));
        const bytes = Uint8Array.from(field(7, [...graph, ...field(10, new Uint8Array(2000))]));
        const { model, tape } = decodeModel(memoryReader(bytes), 'test.onnx');
        const list = initializersOf(model.graph ?? {});
        const headers = new TensorHeaders(list, tape);
        for (let i = 0; i < list.length; i++) {
          const header = headers.at(i);
          if (header?.place !== undefined) places++;
          expect(seen(header)).toEqual(seen(tensorHeader(list.at(i))));
        }
      }),
      { numRuns: 300 },
    );
    expect(places).toBeGreaterThan(100);
  });

  test('of three thousand tensors are found in any order', () => {
    const tensors = Array.from({ length: 3000 }, (_, i) =>
      field(5, [...intField(1, i), ...field(8, `w${i}`), ...field(9, varint(i))]),
    );
    const bytes = Uint8Array.from(field(7, tensors.flat()));
    const { model, tape } = decodeModel(memoryReader(bytes), 'test.onnx');
    const headers = new TensorHeaders(initializersOf(model.graph ?? {}), tape);
    for (const i of [0, 2999, 5, 1023, 1024, 1500, 2048, 1]) {
      expect(headers.at(i)?.dims).toEqual([i]);
      expect([...(headers.at(i)?.rawData() ?? [])]).toEqual(varint(i));
    }
  });

  test('are those of the message once something has changed it', () => {
    const bytes = Uint8Array.from(field(7, field(5, [...intField(1, 3), ...field(8, 'w')])));
    const { model, tape } = decodeModel(memoryReader(bytes), 'test.onnx');
    const list = initializersOf(model.graph ?? {});
    const headers = new TensorHeaders(list, tape);
    expect(headers.at(0)?.dims).toEqual([3]);
    list.at(0).name = 'other';
    expect(headers.at(0)).toBeUndefined();
  });
});
