import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import {
  checkExternalType,
  formatExternalReference,
  parseExternalReference,
  quoted,
} from '../../src/external-data/reference.ts';
import { failure } from './workspace.ts';

function entries(...pairs: [string, string][]) {
  return pairs.map(([key, value]) => ({ key, value }));
}

describe('parseExternalReference', () => {
  it('reads location, offset and length', () => {
    const list = entries(['location', 'w.data'], ['offset', '4096'], ['length', '12']);
    expect(parseExternalReference(list, 'w')).toEqual({
      location: 'w.data',
      byteOffset: 4096,
      byteLength: 12,
      unknownKeys: [],
    });
  });

  it.each([
    ['absent', []],
    ['zero', entries(['length', '0'])],
  ])('leaves the length to the shape when it is %s', (_, more) => {
    const reference = parseExternalReference([...entries(['location', 'f']), ...more], 'w');
    expect(reference.byteOffset).toBe(0);
    expect(reference.byteLength).toBeUndefined();
  });

  it('takes the largest safe integer and leading zeros', () => {
    const list = entries(['location', 'f'], ['offset', '9007199254740991'], ['length', '0016']);
    expect(parseExternalReference(list, 'w')).toMatchObject({
      byteOffset: Number.MAX_SAFE_INTEGER,
      byteLength: 16,
    });
  });

  it.each([
    '+4',
    ' 4',
    '4 ',
    '',
    '-1',
    '0x10',
    '1e3',
    '4.0',
    '٤',
    '9007199254740992',
    '9'.repeat(99),
  ])('refuses the offset %j and names tensor, key and value', async (value) => {
    const list = entries(['location', 'f'], ['offset', value]);
    const error = await failure(() => parseExternalReference(list, 'layers.0.w'));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.code).toBe('ERR_EXTERNAL_DATA');
    expect(error.message).toContain(
      `tensor "layers.0.w": external data offset is ${quoted(value)}`,
    );
    expect(error.details).toEqual({ tensor: 'layers.0.w', key: 'offset', value });
  });

  it('refuses a bad value even when a good one follows', async () => {
    const list = entries(['location', 'f'], ['length', 'x'], ['length', '4']);
    expect((await failure(() => parseExternalReference(list, 'w'))).code).toBe('ERR_EXTERNAL_DATA');
  });

  it('takes the last of repeated offsets and lengths', () => {
    const list = entries(
      ['offset', '1'],
      ['location', 'f'],
      ['offset', '2'],
      ['length', '3'],
      ['length', '4'],
    );
    expect(parseExternalReference(list, 'w')).toMatchObject({ byteOffset: 2, byteLength: 4 });
  });

  it('refuses two locations and none', async () => {
    const two = entries(['location', 'a'], ['location', 'a']);
    expect((await failure(() => parseExternalReference(two, 'w'))).message).toBe(
      'tensor "w": external data has two locations, "a" and "a"',
    );
    const none = entries(['offset', '0']);
    expect((await failure(() => parseExternalReference(none, 'w'))).message).toBe(
      'tensor "w": external data has no location',
    );
  });

  it('collects the keys ONNX Runtime refuses, not those it knows', () => {
    const list = entries(
      ['location', 'f'],
      ['basepath', '/x'],
      ['checksum', 'abc'],
      ['prepacked_0', '1|2|3'],
      ['Offset', '7'],
      ['basepath', '/y'],
      ['__proto__', ''],
    );
    const reference = parseExternalReference(list, 'w');
    expect(reference.unknownKeys).toEqual(['basepath', 'Offset', '__proto__']);
    expect(reference.byteOffset).toBe(0);
  });
});

describe('checkExternalType', () => {
  it('passes every type that has bytes, known or not', () => {
    for (const dtype of [1, 7, 9, 16, 22, 28, 29, 99]) checkExternalType(dtype, 'w');
  });

  it.each([
    [8, 'strings'],
    [0, 'values without an element type'],
  ])('refuses type %i', async (dtype, what) => {
    const error = await failure(() => checkExternalType(dtype, 'w'));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.code).toBe('ERR_EXTERNAL_DATA');
    expect(error.message).toBe(`tensor "w": external data of ${what}`);
  });
});

describe('formatExternalReference', () => {
  it('writes three keys in order, in plain decimal', () => {
    const reference = { location: 'm.data', byteOffset: 2 ** 53 - 1, byteLength: 0 };
    expect(formatExternalReference(reference)).toEqual([
      { key: 'location', value: 'm.data' },
      { key: 'offset', value: '9007199254740991' },
      { key: 'length', value: '0' },
    ]);
  });
});

describe('quoted', () => {
  it('keeps a message on one readable line', () => {
    expect(quoted('layers.0.w')).toBe('"layers.0.w"');
    expect(quoted('a\n\u001b[31m\u009b\u202e')).toBe('"a\\n\\u001b[31m\\u009b\\u202e"');
    expect(quoted('x'.repeat(10_000))).toHaveLength(123);
  });
});
