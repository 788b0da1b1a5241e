import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { onnx } from '../../src/proto/onnx.ts';
import { LosslessReader } from '../../src/proto/reader.ts';
import { LosslessWriter } from '../../src/proto/writer.ts';
import { field } from './wire-builder.ts';

function decode(bytes: Iterable<number>): string {
  const message = Uint8Array.from(field(1, bytes));
  return onnx.StringStringEntryProto.decode(new LosslessReader(message)).key;
}

function encode(key: string): Uint8Array {
  const message = onnx.StringStringEntryProto.encode({ key }, new LosslessWriter()).finish();
  return Uint8Array.from(onnx.AttributeProto.decode(field1To4(message)).s);
}

/** Reads field 1 as bytes: the same content under the number of a bytes field. */
function field1To4(message: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(message);
  copy[0] = 4 * 8 + 2;
  return copy;
}

/** Bytes that are nearly UTF-8: pieces of characters, cut and mixed. */
const almostText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }).map((text) => [...Buffer.from(text)]),
      fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 4 }),
      fc.constantFrom([0xed, 0xb2, 0x80], [0xf0, 0x9f, 0x92], [0xc0, 0x80], [0xef, 0xbf, 0xbd]),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.flat());

describe('strings', () => {
  test('any bytes come back', () => {
    fc.assert(
      fc.property(almostText, (bytes) => {
        expect(encode(decode(bytes))).toEqual(Uint8Array.from(bytes));
      }),
      { numRuns: 500 },
    );
  });

  test('different bytes are different names', () => {
    expect(decode([0x77, 0xe9])).not.toBe(decode([0x77, 0xe8]));
  });

  test('valid text is read as it is, replacement characters included', () => {
    const text = 'größe 重み 👀 \ufffd \u{1f480}';
    expect(decode(Buffer.from(text))).toBe(text);
    expect(Buffer.from(encode(text)).toString()).toBe(text);
  });
});
