import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { readDecoderGeometry } from '../../src/evaluate/genai-config.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lathe-genai-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function read(text: string) {
  await writeFile(join(folder, 'genai_config.json'), text);
  return readDecoderGeometry(join(folder, 'model.onnx'));
}

describe('readDecoderGeometry', () => {
  it('reads the sizes of the caches', async () => {
    const config = { model: { decoder: { head_size: 64, num_key_value_heads: 2 } } };
    expect(await read(JSON.stringify(config))).toEqual({ headSize: 64, keyValueHeads: 2 });
  });

  it('takes nothing but positive integers', async () => {
    const config = { model: { decoder: { head_size: '64', num_key_value_heads: -2 } } };
    expect(await read(JSON.stringify(config))).toEqual({});
    expect(await read('[]')).toEqual({});
    expect(await read('{"model": null}')).toEqual({});
  });

  it('is empty without a file', async () => {
    expect(await readDecoderGeometry(join(folder, 'model.onnx'))).toEqual({});
  });

  it('refuses broken and oversized files', async () => {
    await expect(read('{"model":')).rejects.toThrow(FormatError);
    await expect(read(' '.repeat(1024 * 1024 + 1))).rejects.toThrow(/at most 1048576 are read/);
  });
});
