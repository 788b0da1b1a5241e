import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { describes, entryType, isSafetensorsName } from '../../src/external-data/safetensors.ts';
import { SafetensorsHeader } from '../../src/external-data/safetensors-header.ts';
import { layOutSafetensors } from '../../src/external-data/safetensors-layout.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { safetensorsBytes } from '../support/safetensors.ts';

/** What is wrong with a file: the problem that ends the reading last. */
function problems(bytes: Buffer): string[] {
  const found: string[] = [];
  try {
    new SafetensorsHeader(memoryReader(bytes), (message) => found.push(message));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    found.push(error.message);
  }
  return found;
}

function entry(dtype: string, shape: readonly number[], begin: number, end: number): string {
  return JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
}

const A = entry('F32', [2, 2], 0, 16);
const B = entry('I8', [4], 16, 20);

describe('a header', () => {
  it.each([
    ['{}', 0],
    [`{"a":${A}}`, 16],
    [`{"a":${A},"b":${B}}  `, 20],
    [`{"b":${B},\n\t"a" :${A}\r}`, 20],
    [`{"__metadata__":{"format":"pt","":"\\u0000"},"a":${A}}`, 16],
    [`{"a":{"data_offsets":[0,16],"shape":[2,2],"dtype":"F32","more":[1.5e-3,{"x":null}]}}`, 16],
    [`{"":${A},"\\ud83d\\ude00":${B}}`, 20],
    [`{"scalar":${entry('F64', [], 0, 8)},"none":${entry('U8', [0, 3], 8, 8)}}`, 8],
    [`{"packed":${entry('F4', [3, 2], 0, 3)}}`, 3],
  ])('is read: %s', (text, dataBytes) => {
    expect(problems(safetensorsBytes(text, Buffer.alloc(dataBytes)))).toEqual([]);
  });

  it.each([
    ['[]', 0, 'the header does not begin with {'],
    [' {}', 0, 'the header does not begin with {'],
    ['{', 0, 'the file is too short for a header'],
    ['{ ', 0, 'the header is damaged at byte 10: a string was expected'],
    ['{} x', 0, 'the header is damaged at byte 11: something follows the object'],
    [`{"a":${A},}`, 16, 'a string was expected'],
    [`{"a":${A} "b":${B}}`, 20, 'a comma was expected'],
    [`{"a" ${A}}`, 16, 'a colon was expected'],
    [`{"a`, 0, 'a string does not end'],
    [`{"a\n":${A}}`, 16, 'a string does not end'],
    [`{"a\\`, 0, 'a string does not end'],
    [`{"\\x":${A}}`, 16, 'a string is not UTF-8, or has an escape that is none'],
    [`{"\\ud800":${A}}`, 16, 'a string has half a character'],
    ['{"a":[]}', 0, 'an object was expected'],
    ['{"a":{}}', 0, 'an entry lacks its dtype, shape or data_offsets'],
    ['{"a":{"dtype":"F32","shape":[],"data_offsets":[0]}}', 0, 'an entry lacks its dtype'],
    ['{"a":{"dtype":"F32","dtype":"F32"}}', 0, 'dtype is there twice'],
    ['{"a":{"shape":[-1]}}', 0, 'a whole number was expected'],
    ['{"a":{"shape":[01]}}', 0, 'a whole number was expected'],
    ['{"a":{"shape":[1.0]}}', 0, 'a comma was expected'],
    ['{"a":{"shape":[1e3]}}', 0, 'a comma was expected'],
    ['{"a":{"shape":[9007199254740993]}}', 0, 'a number is too large'],
    ['{"a":{"data_offsets":[0,1,2]}}', 0, 'a list has more than 2 numbers'],
    [`{"a":{"shape":[${'0,'.repeat(1024)}0]}}`, 0, 'a list has more than 1024 numbers'],
    ['{"a":{"more":nul}}', 0, 'a value was expected'],
    ['{"a":{"more":tru e}}', 0, 'a value was expected'],
    [`{"a":{"more":${'['.repeat(100)}`, 0, 'values are nested too deeply'],
    ['{"__metadata__":{"n":1}}', 0, 'a string was expected'],
    ['{"__metadata__":{},"__metadata__":{}}', 0, '__metadata__ is there twice'],
  ])('is refused where its text is damaged: %s', (text, dataBytes, problem) => {
    const found = problems(safetensorsBytes(text, Buffer.alloc(dataBytes)));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(problem);
  });

  it.each([
    [`{"a":${A},"a":${B}}`, 20, 'two entries are called "a"'],
    [`{"a":${A},"\\u0061":${B}}`, 20, 'two entries are called "a"'],
    [`{"a":${A}}`, 15, 'the entries end at 16, the file has 15 bytes of data'],
    [`{"a":${A}}`, 17, 'the entries end at 16, the file has 17 bytes of data'],
    [`{"b":${B}}`, 20, 'bytes 0 to 16 of the data belong to no entry'],
    [
      `{"a":${A},"b":${entry('I8', [4], 20, 24)}}`,
      24,
      'bytes 16 to 20 of the data belong to no entry',
    ],
    [
      `{"a":${A},"b":${entry('I8', [4], 15, 19)}}`,
      19,
      'bytes 15 to 16 of the data belong to two entries',
    ],
    [`{"a":${A},"b":${A}}`, 16, 'bytes 0 to 16 of the data belong to two entries'],
    [`{"a":${entry('F32', [2, 2], 0, 12)}}`, 12, 'entry "a" has 12 bytes, F32 [2,2] takes 16'],
    [`{"a":${entry('F4', [3], 0, 2)}}`, 2, 'entry "a" has 2 bytes, F4 [3] takes 1.5'],
    [
      `{"a":${entry('C128', [1], 0, 16)}}`,
      16,
      'entry "a" has the type "C128", which readers do not know',
    ],
    [`{"a":${entry('U8', [2 ** 40, 2 ** 40], 0, 4)}}`, 4, 'entry "a" has 4 bytes'],
    [`{"a":${entry('U8', [0], 4, 0)}}`, 0, 'entry "a" ends at 0, before it begins at 4'],
  ])('is refused where its entries do not fit: %s', (text, dataBytes, problem) => {
    expect(problems(safetensorsBytes(text, Buffer.alloc(dataBytes)))[0]).toContain(problem);
  });

  it('has a length that fits the file, and that readers take', () => {
    const bytes = safetensorsBytes(`{"a":${A}}`);
    const withLength = (length: bigint) => {
      const copy = Buffer.from(bytes);
      copy.writeBigUInt64LE(length);
      return problems(copy);
    };
    expect(withLength(1n)).toEqual(['the header does not begin with {']);
    expect(withLength(1000n)).toEqual([
      `the header ends at 1008, the file has ${bytes.length} bytes`,
    ]);
    const longest = 'readers take 100000000';
    expect(withLength(100_000_001n)).toEqual([`the header has 100000001 bytes, ${longest}`]);
    expect(withLength(2n ** 64n - 1n)).toEqual([
      `the header has ${2n ** 64n - 1n} bytes, ${longest}`,
    ]);
    expect(problems(Buffer.alloc(3))).toEqual(['the file is too short for a header']);
  });

  it('is read across windows', () => {
    const name = 'ä'.repeat(50_000);
    const text = `{"${name}":${A},${' '.repeat(70_000)}"b":${B}}`;
    const bytes = safetensorsBytes(text, Buffer.alloc(20));
    expect(problems(bytes)).toEqual([]);
    const header = new SafetensorsHeader(memoryReader(bytes), () => undefined);
    expect(header.find(header.dataStart + 16, 4)).toEqual({
      dtype: 'I8',
      shape: [4],
      begin: 16,
      end: 20,
    });
    expect(header.find(header.dataStart, 16)?.shape).toEqual([2, 2]);
    expect(header.find(header.dataStart, 15)).toBeUndefined();
    expect(header.find(header.dataStart + 20, 0)).toBeUndefined();
  });
});

it('a header that readers would refuse is not planned', () => {
  const label = 'x'.repeat(40_000_000);
  const tensors = { byteLengths: [4, 4, 4], labelOf: () => label, fillerName: '__padding_' };
  expect(() => layOutSafetensors(tensors, { align: 1 })).toThrow(
    expect.objectContaining({
      code: 'ERR_LIMIT',
      message:
        'the header of a safetensors file for 3 tensors or more is longer than 95.4 MiB, which readers refuse',
    }),
  );
  // As several files it is none too long.
  const { files } = layOutSafetensors(tensors, { align: 1, maxFileSize: 90_000_000 });
  expect(files.map(({ first, last }) => last - first)).toEqual([2, 1]);
});

describe('types', () => {
  it('go by name where the format has them, else as bytes', () => {
    expect(entryType(1, [2, 3], 24)).toEqual({ dtype: 'F32', shape: [2, 3] });
    expect(entryType(16, [2, 3], 12)).toEqual({ dtype: 'BF16', shape: [2, 3] });
    for (const dtype of [15, 18, 20, 21, 22, 23, 25, 26, 27, 28, 77]) {
      expect(entryType(dtype, [2, 3], 3)).toEqual({ dtype: 'U8', shape: [3] });
    }
  });

  it('are told from each other, and bytes of any shape are taken for what has no name', () => {
    expect(describes({ dtype: 'F32', shape: [2, 3] }, 1, [2, 3])).toBe(true);
    expect(describes({ dtype: 'F32', shape: [3, 2] }, 1, [2, 3])).toBe(false);
    expect(describes({ dtype: 'I32', shape: [2, 3] }, 1, [2, 3])).toBe(false);
    expect(describes({ dtype: 'U8', shape: [24] }, 1, [2, 3])).toBe(false);
    expect(describes({ dtype: 'U8', shape: [2, 2] }, 22, [2, 3])).toBe(true);
    expect(describes({ dtype: 'F4', shape: [2, 3] }, 23, [2, 3])).toBe(true);
    expect(describes({ dtype: 'F16', shape: [2] }, 22, [2])).toBe(false);
  });

  it('and files by their names', () => {
    expect(
      ['a.safetensors', 'A.SAFETENSORS', 'a.safetensors_1', 'safetensors'].map(isSafetensorsName),
    ).toEqual([true, true, false, false]);
  });
});
