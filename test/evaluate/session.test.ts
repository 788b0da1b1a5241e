import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FormatError, PreconditionError, UsageError } from '../../src/errors.ts';
import { zeros } from '../../src/evaluate/host-tensor.ts';
import { openSession } from '../../src/evaluate/session.ts';

const MODEL = fileURLToPath(
  new URL('../models/layouts/mobius-llama-tied-f16-default/model.onnx', import.meta.url),
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lathe-session-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('openSession', () => {
  it('declares inputs and outputs in the order of the model', async () => {
    const session = await openSession(MODEL, { threads: 1 });
    expect(session.inputs.slice(0, 4)).toEqual([
      { name: 'input_ids', type: 'int64', shape: ['batch', 'sequence_len'] },
      { name: 'attention_mask', type: 'int64', shape: ['batch', 'past_seq_len + seq_len'] },
      { name: 'position_ids', type: 'int64', shape: ['batch', 'sequence_len'] },
      {
        name: 'past_key_values.0.key',
        type: 'float16',
        shape: ['batch', 2, 'past_sequence_len', 16],
      },
    ]);
    expect(session.outputs[0]?.name).toBe('logits');
    await session.close();
  });

  it('words what ONNX Runtime says about feeds', async () => {
    const session = await openSession(MODEL, { threads: 1 });
    const running = session.run(new Map([['input_ids', zeros('input_ids', 'int64', [1, 2])]]));
    await expect(running).rejects.toThrow(PreconditionError);
    await expect(running).rejects.toThrow(/model\.onnx: ONNX Runtime could not run the model/);
    await session.close();
  });

  it('refuses what is not there', async () => {
    await expect(openSession(join(folder, 'none.onnx'))).rejects.toMatchObject({
      code: 'ERR_NOT_FOUND',
    });
    await expect(openSession(folder)).rejects.toThrow(UsageError);
  });

  it('refuses a file that is no model', async () => {
    const path = join(folder, 'text.onnx');
    await writeFile(path, 'this is not protobuf at all');
    await expect(openSession(path)).rejects.toThrow(FormatError);
    await expect(openSession(path)).rejects.toMatchObject({ code: 'ERR_PROTOBUF' });
  });

  it('refuses a model whose data file is missing', async () => {
    const path = join(folder, 'model.onnx');
    await copyFile(MODEL, path);
    await expect(openSession(path)).rejects.toMatchObject({
      name: 'FormatError',
      code: 'ERR_EXTERNAL_DATA',
    });
  });
});
