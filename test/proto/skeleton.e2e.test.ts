import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ResourceError } from '../../src/errors.ts';
import { decodeModel, encodeModel } from '../../src/proto/codec.ts';
import { fileReader } from '../../src/proto/file-reader.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { scanSkeleton } from '../../src/proto/skeleton.ts';
import type { ByteReader } from '../../src/proto/wire.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { assemble, elidedPayloads, segmentsOf } from './payloads.ts';
import { field, pattern, varint } from './wire-builder.ts';

/** Counts what is read through it. */
function counting(source: ByteReader): ByteReader & { bytesRead: number } {
  return {
    byteLength: source.byteLength,
    bytesRead: 0,
    read(byteOffset, byteLength) {
      this.bytesRead += byteLength;
      return source.read(byteOffset, byteLength);
    },
  };
}

let directory: string;
let descriptor: number;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'onnx-lathe-skeleton-'));
  descriptor = openSync(join(directory, 'model.onnx'), 'w+');
});

afterAll(() => {
  closeSync(descriptor);
  rmSync(directory, { recursive: true });
});

describe('a sparse model of 1.9 GiB', () => {
  const payload = 475 * 1024 * 1024;
  const count = 4;

  /** Writes four initializers with large raw_data, the payloads as holes, and returns the file's size. */
  function writeSparseModel(): number {
    const names = Array.from({ length: count }, (_, i) => field(8, `layers.${i}.weight`));
    const header = (number: number, length: number) => [number * 8 + 2, ...varint(length)];
    const tensors = names.map((name) => [...name, ...header(9, payload)]);
    const wrapped = tensors.map((start) => [...header(5, start.length + payload), ...start]);
    const graphLength = wrapped.reduce((sum, start) => sum + start.length + payload, 0);
    let position = 0;
    const put = (bytes: number[]) => {
      position += writeSync(descriptor, Uint8Array.from(bytes), 0, bytes.length, position);
    };
    put(header(7, graphLength));
    for (const start of wrapped) {
      put(start);
      position += payload;
    }
    ftruncateSync(descriptor, position);
    return position;
  }

  test('is decoded and planned without reading its payloads', () => {
    const byteLength = writeSparseModel();
    const source = counting(fileReader(descriptor, byteLength, 'model.onnx'));
    const decoded = decodeModel(source, 'model.onnx');
    expect(source.bytesRead).toBeLessThan(2 * 1024 * 1024);
    const names = decoded.model.graph?.initializer?.map((tensor) => tensor.name);
    expect(names).toEqual([
      'layers.0.weight',
      'layers.1.weight',
      'layers.2.weight',
      'layers.3.weight',
    ]);
    const payloads = elidedPayloads(decoded);
    expect([...payloads.values()]).toEqual(Array(count).fill(payload));
    const encoded = encodeModel(decoded.model, payloads);
    expect(encoded.byteLength).toBe(byteLength);
    const segments = segmentsOf(encoded);
    for (const segment of segments) {
      if (segment.kind === 'payload') {
        expect(decoded.payloadOf(segment.tensor)?.byteOffset).toBe(segment.byteOffset);
      } else {
        const { bytes, byteOffset } = segment;
        expect(Buffer.compare(source.read(byteOffset, bytes.length), bytes)).toBe(0);
      }
    }
    expect(segments.length).toBe(2 * count);
  });
});

describe('a model of several windows', () => {
  const node = (i: number): onnx.INodeProto => ({
    opType: 'MatMul',
    name: `node ${i}`,
    input: [`x${i}`, `w${i}`],
    docString: 'd'.repeat((i * 7919) % 3000),
    attribute: [{ name: 'value', t: { rawData: pattern((i * 104_729) % 9000, i) } }],
  });

  test('comes back byte for byte', () => {
    const model = {
      graph: {
        node: Array.from({ length: 1500 }, (_, i) => node(i)),
        initializer: [{ name: 'large', rawData: pattern(3_000_000) }, { name: 'last' }],
      },
    };
    const bytes = onnx.ModelProto.encode(model).finish();
    expect(bytes.length).toBeGreaterThan(9_000_000);
    const source = memoryReader(bytes);
    const decoded = decodeModel(source, 'windows.onnx');
    const encoded = encodeModel(decoded.model, elidedPayloads(decoded));
    expect(Buffer.compare(assemble(encoded, decoded, source), bytes)).toBe(0);
  });

  test('keeps everything when there is nothing to leave out', () => {
    const docString = Buffer.from(pattern(5_000_000).map((byte) => byte & 127)).toString();
    const bytes = onnx.ModelProto.encode({ docString }).finish();
    const skeleton = scanSkeleton(memoryReader(bytes), 'text.onnx');
    expect(Buffer.compare(skeleton.bytes, bytes)).toBe(0);
    expect(skeleton.payloads).toEqual([]);
  });

  test('is not copied when it is small and has nothing to leave out', () => {
    const bytes = onnx.ModelProto.encode({ graph: { node: [node(0)] } }).finish();
    const { bytes: scanned } = scanSkeleton(memoryReader(bytes), 'small.onnx');
    expect(scanned.buffer).toBe(bytes.buffer);
    expect(scanned.length).toBe(bytes.length);
  });
});

describe('fileReader', () => {
  test('a file that shrinks while it is read is not a format error', () => {
    const reader = fileReader(descriptor, 2 ** 40, 'model.onnx');
    expect(() => reader.read(2 ** 39, 10)).toThrow(ResourceError);
    expect(() => reader.read(2 ** 39, 10)).toThrow(
      'model.onnx: the file ends at byte 549755813888',
    );
  });

  test('an operating-system error says what was attempted', () => {
    const closed = openSync(join(directory, 'closed'), 'w');
    closeSync(closed);
    expect(() => fileReader(closed, 10, 'model.onnx').read(0, 10)).toThrow('reading model.onnx');
  });
});
