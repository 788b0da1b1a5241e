import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileReader } from '../../src/proto/file-reader.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { type Skeleton, scanInTypeScript, scanNatively } from '../../src/proto/skeleton.ts';
import { type ByteReader, memoryReader } from '../../src/proto/wire.ts';
import { LosslessWriter } from '../../src/proto/writer.ts';
import { arbitraryModel } from './arbitrary-model.ts';
import { field, pattern, rawField } from './wire-builder.ts';

/** A skeleton with the same nonce in the tokens of every scan. */
function seen(skeleton: Skeleton | undefined) {
  if (skeleton === undefined) return undefined;
  const bytes = Buffer.from(skeleton.bytes);
  const { nonce } = skeleton.tokens;
  for (let at = bytes.indexOf(nonce); at >= 0; at = bytes.indexOf(nonce, at)) {
    bytes.fill(0, at, at + nonce.length);
  }
  return { bytes: bytes.toString('latin1'), payloads: skeleton.payloads };
}

function scanOrRefuse(source: ByteReader) {
  try {
    return seen(scanInTypeScript(source, 'test.onnx'));
  } catch {
    return undefined;
  }
}

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'onnx-lathe-scan-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** What `use` makes of a reader over a file with these bytes. */
function inFile<Result>(bytes: Uint8Array, use: (source: ByteReader) => Result): Result {
  const path = join(directory, 'model.onnx');
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  try {
    return use(fileReader(fd, bytes.length, path));
  } finally {
    closeSync(fd);
  }
}

const encoded = arbitraryModel.map((model) =>
  onnx.ModelProto.encode(model, new LosslessWriter()).finish(),
);

describe('the addon leaves out what TypeScript leaves out', () => {
  test('of any model, in memory and in a file', () => {
    fc.assert(
      fc.property(encoded, (bytes) => {
        fc.pre(bytes.length > 0);
        const expected = scanOrRefuse(memoryReader(bytes));
        expect(seen(scanNatively(memoryReader(bytes)))).toEqual(expected);
        expect(seen(inFile(bytes, scanNatively))).toEqual(expected);
      }),
      { numRuns: 150 },
    );
  });

  test('of any model that was damaged, or declines it', () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        encoded,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 2 }),
        fc.nat({ max: 8 }),
        (whole, changes, cut) => {
          const bytes = whole.slice(0, Math.max(1, whole.length - cut));
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const native = scanNatively(memoryReader(bytes));
          if (native === undefined) return;
          accepted++;
          expect(seen(native)).toEqual(scanOrRefuse(memoryReader(bytes)));
        },
      ),
      { numRuns: 200 },
    );
    expect(accepted).toBeGreaterThan(10);
  });

  test('of a file of many windows, with payloads across their borders', () => {
    const tensors = Array.from({ length: 60 }, (_, i) => {
      const payload = pattern(i % 3 === 0 ? 100_000 + i : 200 + 30 * i);
      return field(5, [...field(8, `w${i}`), ...field(9, payload)]);
    });
    const doc = field(10, pattern(3_000_000));
    const bytes = Uint8Array.from(field(7, [...tensors.flat(), ...doc, ...tensors.flat()]));
    const expected = scanOrRefuse(memoryReader(bytes));
    expect(expected?.payloads.length).toBeGreaterThan(100);
    expect(seen(inFile(bytes, scanNatively))).toEqual(expected);
    expect(seen(inFile(bytes, (source) => scanInTypeScript(source, 'x')))).toEqual(expected);
  });

  test('but not of numbers in pieces, which protobuf joins', () => {
    const piece = field(4, new Uint8Array(400));
    const bytes = Uint8Array.from(field(7, field(5, [...piece, ...piece])));
    expect(scanNatively(memoryReader(bytes))).toBeUndefined();
    expect(scanOrRefuse(memoryReader(bytes))?.payloads).toEqual([]);
  });

  test('and declines a group, a nesting too deep, and a file that was cut', () => {
    const group = Uint8Array.from([...rawField(99, 3), ...rawField(99, 4)]);
    expect(scanNatively(memoryReader(group))).toBeUndefined();
    let deep: number[] = [...pattern(2000)].flatMap(() => field(10, 'doc'));
    for (let i = 0; i < 40; i++) deep = field(1, field(5, field(6, deep)));
    expect(scanNatively(memoryReader(Uint8Array.from(field(7, deep))))).toBeUndefined();
    const bytes = Uint8Array.from(field(7, field(10, pattern(100))));
    const short = inFile(bytes.subarray(0, 50), ({ fd, read }) =>
      scanNatively({ fd: fd ?? -1, read, byteLength: bytes.length }),
    );
    expect(short).toBeUndefined();
  });
});
