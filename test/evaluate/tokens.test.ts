import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FormatError, ResourceError, UsageError } from '../../src/errors.ts';
import { checkedTokens, readTokens } from '../../src/evaluate/tokens.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lathe-tokens-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(text: string) {
  const path = join(folder, 'tokens.json');
  await writeFile(path, text);
  return readTokens(path);
}

describe('readTokens', () => {
  it('reads a JSON array of integers', async () => {
    expect(await read('[0, 4095,\n 17]')).toEqual(Int32Array.of(0, 4095, 17));
    expect(await read('[]')).toHaveLength(0);
  });

  it.each([
    ['[1, 2', /not JSON/],
    ['{"tokens": [1]}', /not an array/],
    ['[1, -1]', /token 1 is -1/],
    ['[0.5]', /token 0 is 0.5/],
    ['[1, "2"]', /token 1 is "2"/],
    ['[null]', /token 0 is null/],
    ['[2147483648]', /token 0 is 2147483648/],
  ])('refuses %s', async (text, message) => {
    const reading = read(text);
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(message);
  });

  it('names a file that is not there or cannot be read', async () => {
    await expect(readTokens(join(folder, 'none.json'))).rejects.toThrow(UsageError);
    await expect(readTokens(folder)).rejects.toThrow(ResourceError);
  });
});

describe('checkedTokens', () => {
  it('knows the vocabulary', () => {
    expect(checkedTokens([511], 'text', 512)).toEqual(Int32Array.of(511));
    expect(() => checkedTokens([1, 512], 'text', 512)).toThrow(
      'text: token 1 is 512, not an integer from 0 to 511',
    );
  });
});
