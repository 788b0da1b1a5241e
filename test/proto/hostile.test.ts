import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { decodeModel } from '../../src/proto/codec.ts';
import { scanSkeleton } from '../../src/proto/skeleton.ts';
import type { ByteReader } from '../../src/proto/wire.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { field, intField, rawField, varint } from './wire-builder.ts';

function errorOf(source: Iterable<number> | ByteReader): FormatError {
  const reader = 'read' in source ? source : memoryReader(Uint8Array.from(source));
  try {
    decodeModel(reader, 'bad.onnx');
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error('the model was accepted');
}

/** `content` within `levels` If bodies: three messages each (graph, node, attribute). */
function nestedGraphs(levels: number, content: number[] = []): number[] {
  let graph = content;
  for (let i = 0; i < levels; i++) graph = field(1, field(5, field(6, graph)));
  return field(7, graph);
}

describe('lengths', () => {
  test.each([
    ['a length beyond the file', field(7, [0x0a, 100]), 'ERR_TRUNCATED'],
    [
      'a length beyond its parent',
      [...field(7, [0x0a, 5, 1]), ...field(2, 'abcdef')],
      'ERR_PROTOBUF',
    ],
    ['a length of 4 GiB', [0x3a, ...varint(2 ** 32 - 1)], 'ERR_PROTOBUF'],
    ['a length of 2^63', [0x3a, ...varint(2n ** 63n)], 'ERR_PROTOBUF'],
    ['a length of 10 bytes', [0x3a, ...varint(1, 10), 0], 'ERR_PROTOBUF'],
    ['a raw_data length beyond the file', field(7, field(5, [0x4a, 0x80, 8])), 'ERR_TRUNCATED'],
    ['fixed32 beyond its message', [...field(7, [0x7d, 0, 0]), 0, 0, 0], 'ERR_PROTOBUF'],
    ['a varint beyond its message', [...field(7, [0x78, 0x80]), 1], 'ERR_PROTOBUF'],
    ['float_data of 130 bytes', field(7, field(5, field(4, new Uint8Array(130)))), 'ERR_PROTOBUF'],
  ])('%s is refused', (_, bytes, code) => {
    const error = errorOf(bytes);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^bad\.onnx: .* byte \d+/);
  });

  test('the message says where', () => {
    const bytes = [...intField(1, 10), ...field(7, [...field(2, 'main'), 0x0a, 99])];
    expect(errorOf(bytes).message).toBe(
      'bad.onnx: a field at byte 11 ends at byte 111, the file has 12',
    );
    expect(errorOf(bytes).details).toEqual({ byteOffset: 11 });
  });

  test('a padded length is read as what it means', () => {
    const graph = [0x3a, ...varint(3, 5), ...field(2, 'g')];
    expect(decodeModel(memoryReader(Uint8Array.from(graph)), 'x').model.graph?.name).toBe('g');
  });
});

describe('tags and numbers', () => {
  test.each([
    ['field number 0', [0x00, 1]],
    ['wire type 6', [0x0e, 1]],
    ['wire type 7', [0x0f, 1]],
    ['a tag of 6 bytes', [0x88, 0x80, 0x80, 0x80, 0x80, 0, 1]],
    ['a tag of 33 bits', [0x88, 0x80, 0x80, 0x80, 0x10, 1]],
    ['a varint of 11 bytes', [0x08, ...varint(1, 11)]],
    ['the end of a group that did not begin', rawField(9, 4)],
    ['a group that ends as another', [...rawField(99, 3), ...rawField(98, 4)]],
    ['a field 0 in a group', [...rawField(99, 3), 0, 0]],
    ['a group open at the end of its message', field(7, rawField(99, 3))],
  ])('%s is refused', (_, bytes) => {
    expect(errorOf(bytes).code).toBe('ERR_PROTOBUF');
  });

  test('a varint of 10 bytes and a group in a group are read', () => {
    const group = [...rawField(99, 3), ...rawField(98, 3), ...intField(1, 2), ...rawField(98, 4)];
    const bytes = [0x08, ...varint(7, 10), ...group, ...field(5, 'x'), ...rawField(99, 4)];
    expect(`${decodeModel(memoryReader(Uint8Array.from(bytes)), 'x').model.irVersion}`).toBe('7');
  });
});

describe('nesting', () => {
  test('33 levels of control flow are read and 34 are not', () => {
    const { model } = decodeModel(memoryReader(Uint8Array.from(nestedGraphs(33))), 'deep.onnx');
    expect(model.graph).toBeDefined();
    expect(errorOf(nestedGraphs(34)).code).toBe('ERR_LIMIT');
    expect(errorOf(nestedGraphs(34)).message).toContain('nested deeper than 100');
  });

  test.each([101, 100_000])('%i nested types are refused', (levels) => {
    // TypeProto (sequence_type = 4) and Sequence (elem_type = 1), with lengths that all fit.
    const bytes: number[] = [];
    let length = 0;
    for (let i = 0; i < levels; i++) {
      const header = [(levels - i) % 2 ? 0x22 : 0x0a, ...varint(length, 5)];
      bytes.push(...header.reverse());
      length += header.length;
    }
    const type = bytes.reverse();
    expect(errorOf(field(7, field(11, field(2, type)))).code).toBe('ERR_LIMIT');
  });

  test.each([101, 100_000])('%i nested groups are refused', (levels) => {
    const open = Array.from({ length: levels }, () => rawField(99, 3)).flat();
    const close = Array.from({ length: levels }, () => rawField(99, 4)).flat();
    expect(errorOf([...open, ...close]).code).toBe('ERR_LIMIT');
  });
});

describe('size', () => {
  test('a file that is a bomb of empty messages is refused before it is decoded', () => {
    const nodes = new Uint8Array(2 * 8_000_000);
    for (let i = 0; i < nodes.length; i += 2) nodes[i] = 0x0a;
    const bytes = Buffer.concat([Buffer.from([0x3a, ...varint(nodes.length)]), nodes]);
    const error = errorOf(memoryReader(bytes));
    expect(error.code).toBe('ERR_LIMIT');
    expect(error.message).toContain('needs more than 2147483648 bytes of memory');
  });

  test('a packed list that would take many times its length is refused', () => {
    const ints = Buffer.alloc(96 * 1024 * 1024);
    const header = (number: number, length: number) => [number * 8 + 2, ...varint(length, 5)];
    const attribute = header(8, ints.length);
    const node = header(5, ints.length + 6);
    const graph = header(1, ints.length + 12);
    const model = header(7, ints.length + 18);
    const bytes = Buffer.concat([Buffer.from([...model, ...graph, ...node, ...attribute]), ints]);
    expect(errorOf(memoryReader(bytes)).code).toBe('ERR_LIMIT');
  });

  test('text of 600 MiB is refused without reading it', () => {
    let read = 0;
    const length = 600 * 1024 * 1024;
    const header = Uint8Array.from([0x32, ...varint(length, 5)]);
    const error = errorOf({
      byteLength: header.length + length,
      read(byteOffset, byteLength) {
        read += byteLength;
        const bytes = new Uint8Array(byteLength);
        if (byteOffset === 0) bytes.set(header);
        return bytes;
      },
    });
    expect(error.code).toBe('ERR_LIMIT');
    expect(error.message).toContain('besides tensor payloads');
    expect(read).toBeLessThan(4 * 1024 * 1024);
  });

  test('a file of 2 GiB is refused without reading it', () => {
    const source: ByteReader = {
      byteLength: 2 ** 31,
      read: () => {
        throw new Error('the file was read');
      },
    };
    expect(errorOf(source).code).toBe('ERR_LIMIT');
  });
});

test('what is not a model at all is refused', () => {
  expect(errorOf(Buffer.from('{"format": "json"}')).code).toMatch(/ERR_PROTOBUF|ERR_TRUNCATED/);
  expect(errorOf(Buffer.from('GGUF\x03\0\0\0')).code).toMatch(/ERR_PROTOBUF|ERR_TRUNCATED/);
  expect(() => scanSkeleton(memoryReader(new Uint8Array(64)), 'zeros.onnx')).toThrow(
    'zeros.onnx: a field has number 0 at byte 0',
  );
});
