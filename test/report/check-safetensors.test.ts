import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/report/check.ts';
import { inspectModel } from '../../src/report/inspect.ts';
import { COLUMNS, ROWS, setExternal, writeTiny } from '../cli/tiny-model.ts';
import { useWorkspace } from '../external-data/workspace.ts';
import { safetensorsBytes, writeSafetensors } from '../support/safetensors.ts';

const workspace = useWorkspace();

const BYTES = ROWS * COLUMNS * 4;
const NAME = 'model.safetensors';

/** The tiny model with its data in a file that a plain writer of safetensors has made, at these offsets. */
function write(offsets: readonly [number, number]): void {
  const data = Buffer.alloc(BYTES);
  writeTiny(workspace.path(), ({ graph }) => {
    graph.initializer?.forEach((tensor, index) => {
      setExternal(tensor, 'location', NAME);
      setExternal(tensor, 'offset', String(offsets[index]));
    });
  });
  writeSafetensors(workspace.path(NAME), {
    table: { dtype: 'F32', shape: [ROWS, COLUMNS], data },
    weight: { dtype: 'F32', shape: [COLUMNS, ROWS], data },
    other: { dtype: 'U8', shape: [5000], data: Buffer.alloc(5000) },
  });
}

/** Where its data begins: known from writing it once. */
function dataStart(): number {
  write([0, 0]);
  return 8 + Number(readFileSync(workspace.path(NAME)).readBigUInt64LE());
}

async function findings(): Promise<string[]> {
  const list = (await checkModel(workspace.path())).findings;
  return list.map(
    ({ severity, code, where, message }) =>
      `${severity} ${code} ${where.tensor ?? where.file}: ${message}`,
  );
}

describe('a model with data in safetensors', () => {
  it('is as it should be; what no tensor refers to is dead, and the header is not', async () => {
    const start = dataStart();
    write([start, start + BYTES]);
    const bytes = readFileSync(workspace.path(NAME)).length;
    expect(await findings()).toEqual([
      `note external-unused ${NAME}: 5000 of ${bytes} bytes belong to no tensor`,
    ]);
    expect(inspectModel(workspace.path())).toMatchObject({
      bitsPerWeight: 32,
      files: [
        {},
        {
          byteLength: bytes,
          headerBytes: start,
          aliveBytes: start + 2 * BYTES,
          deadBytes: 5000,
        },
      ],
    });
  });

  it('is suspicious where a tensor is no entry, or one of another shape', async () => {
    const start = dataStart();
    write([start + BYTES, start + 4]);
    expect(await findings()).toEqual([
      `warning safetensors-entry table: its entry in "${NAME}" is "F32" [32, 96]`,
      `warning safetensors-entry weight: its bytes are not those of an entry of "${NAME}"`,
      expect.stringContaining('warning external-overlap'),
      expect.stringContaining('note external-unused'),
    ]);
  });

  it('is suspicious where a tensor is in the header', async () => {
    write([0, dataStart() + BYTES]);
    write([0, dataStart() + BYTES]);
    expect((await findings())[0]).toBe(
      `warning safetensors-entry table: its bytes are not those of an entry of "${NAME}"`,
    );
  });

  it.each<[string, () => Buffer, string]>([
    [
      'is no safetensors',
      () => Buffer.alloc(3 * BYTES, 1),
      'the header has 72340172838076673 bytes, readers take 100000000',
    ],
    [
      'has a damaged header',
      () => safetensorsBytes('{"table":{"dtype":"F32"}}', Buffer.alloc(3 * BYTES)),
      'the header is damaged at byte 32: an entry lacks its dtype, shape or data_offsets',
    ],
  ])('is suspicious once when its file %s', async (_, make, problem) => {
    write([0, BYTES]);
    writeFileSync(workspace.path(NAME), make());
    expect((await findings()).filter((line) => line.startsWith('warning'))).toEqual([
      `warning safetensors-header ${NAME}: ${problem}`,
    ]);
  });
});
