import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError, type LatheError } from '../../src/errors.ts';
import { decodeModel, encodeModel } from '../../src/proto/codec.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { LosslessReader } from '../../src/proto/reader.ts';
import { scanSkeleton } from '../../src/proto/skeleton.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { LosslessWriter } from '../../src/proto/writer.ts';
import { arbitraryModel } from './arbitrary-model.ts';
import { assemble, elidedPayloads, tensorsOf } from './payloads.ts';

const fields = ['raw_data', 'float_data', 'double_data'];

/** Little-endian bytes of whichever payload field of a completely decoded tensor. */
function bytesOf(tensor: onnx.ITensorProto, field: string): Uint8Array {
  if (field === 'raw_data') return Uint8Array.from(tensor.rawData ?? []);
  if (field === 'float_data') {
    return new Uint8Array(Float32Array.from(tensor.floatData ?? []).buffer);
  }
  return new Uint8Array(Float64Array.from(tensor.doubleData ?? []).buffer);
}

/** The bytes of a model that was decoded whole; those of a model that cannot be. */
function canonical(bytes: Uint8Array): Uint8Array {
  let model: onnx.ModelProto;
  try {
    model = onnx.ModelProto.decode(new LosslessReader(bytes));
  } catch {
    // Nothing looked into what is damaged, an entry of value_info for example: it has to be as it came.
    return bytes;
  }
  return onnx.ModelProto.encode(model, new LosslessWriter()).finish();
}

describe('random models', () => {
  test('leaving payloads out and putting them back changes nothing', () => {
    fc.assert(
      fc.property(arbitraryModel, (message) => {
        const bytes = onnx.ModelProto.encode(message).finish();
        const source = memoryReader(bytes);
        const decoded = decodeModel(source, 'random.onnx');
        const encoded = encodeModel(decoded.model, elidedPayloads(decoded));
        expect(Buffer.compare(assemble(encoded, decoded, source), bytes)).toBe(0);
      }),
      { numRuns: 80 },
    );
  });

  test('each payload is where it says, and nothing of 1024 bytes is kept', () => {
    fc.assert(
      fc.property(arbitraryModel, (message) => {
        const bytes = onnx.ModelProto.encode(message).finish();
        const whole = onnx.ModelProto.decode(new LosslessReader(bytes));
        const decoded = decodeModel(memoryReader(bytes), 'random.onnx');
        const expected = [...tensorsOf(whole)];
        const tensors = [...tensorsOf(decoded.model)];
        expect(tensors.length).toBe(expected.length);
        tensors.forEach((tensor, i) => {
          const complete = expected[i] as onnx.ITensorProto;
          const payload = decoded.payloadOf(tensor);
          if (!payload) {
            const lengths = fields.map((field) => bytesOf(complete, field).length);
            expect(Math.max(...lengths)).toBeLessThan(1024);
            return;
          }
          const { byteOffset, byteLength, field } = payload;
          const found = bytes.subarray(byteOffset, byteOffset + byteLength);
          expect(byteLength).toBeGreaterThanOrEqual(256);
          expect(Buffer.compare(found, bytesOf(complete, field))).toBe(0);
        });
      }),
      { numRuns: 100 },
    );
  });

  test('a damaged model is a FormatError or another model that is written again', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    // A model takes longer to think up than to read, so each is damaged in several ways.
    const damages = fc.array(damage, { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(arbitraryModel, damages, (message, list) => {
        const whole = onnx.ModelProto.encode(message).finish();
        for (const changes of list) {
          const bytes = whole.slice();
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const source = memoryReader(bytes);
          try {
            const decoded = decodeModel(source, 'damaged.onnx');
            const encoded = encodeModel(decoded.model, elidedPayloads(decoded));
            const again = assemble(encoded, decoded, source);
            expect(Buffer.compare(canonical(again), canonical(bytes))).toBe(0);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
            expect((error as LatheError).message).toContain('damaged.onnx');
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test('every prefix is refused or is the shorter model it spells', () => {
    fc.assert(
      fc.property(arbitraryModel, (message) => {
        const bytes = onnx.ModelProto.encode(message).finish().subarray(0, 700);
        for (let length = 1; length < bytes.length; length++) {
          const prefix = bytes.subarray(0, length);
          let skeleton: Uint8Array;
          try {
            skeleton = scanSkeleton(memoryReader(prefix), 'cut.onnx').bytes;
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
            expect(() => onnx.ModelProto.decode(prefix)).toThrow();
            continue;
          }
          expect(() => onnx.ModelProto.decode(skeleton)).not.toThrow();
        }
      }),
      { numRuns: 10 },
    );
  });
});
