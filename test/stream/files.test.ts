import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FormatError, ResourceError, UsageError } from '../../src/errors.ts';
import { closeOutput, createOutput, writeBytes } from '../../src/stream/output-file.ts';
import { openSource } from '../support/source-file.ts';
import { ScratchFiles, withFileSizeLimit } from './scratch-files.ts';

let files: ScratchFiles;
beforeEach(() => {
  files = new ScratchFiles();
});
afterEach(() => {
  files[Symbol.dispose]();
});

test('a source knows its length', () => {
  expect(files.source(new Uint8Array(77)).file.byteLength).toBe(77);
});

test('a missing source is not found', () => {
  expect(() => openSource(files.path('missing'))).toThrow(
    expect.objectContaining({ code: 'ERR_NOT_FOUND', name: ResourceError.name }),
  );
});

test('a directory is no source, and its descriptor is closed', () => {
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  expect(() => openSource(files.directory)).toThrow(FormatError);
  expect(open()).toBe(before);
});

test('a FIFO is refused without waiting for its writer', () => {
  expect(spawnSync('mkfifo', [files.path('fifo')]).status).toBe(0);
  expect(() => openSource(files.path('fifo'))).toThrow('not a regular file');
});

test('an output has its length from the start and keeps what is written', () => {
  const file = files.output(10);
  writeBytes(file, Uint8Array.of(1, 2, 3), 4);
  expect([...readFileSync(file.path)]).toEqual([0, 0, 0, 0, 1, 2, 3, 0, 0, 0]);
});

test('an existing file is never taken for an output', () => {
  writeFileSync(files.path('old'), 'old');
  expect(() => createOutput(files.path('old'), 10)).toThrow(UsageError);
  expect(readFileSync(files.path('old'), 'utf8')).toBe('old');
});

test('an output that cannot be had leaves nothing behind', async () => {
  const path = files.path('huge');
  await withFileSizeLimit(1_000_000, () => {
    expect(() => createOutput(path, 1_000_001)).toThrow(ResourceError);
  });
  expect(existsSync(path)).toBe(false);
});

test('an output in a directory that does not exist says so', () => {
  expect(() => createOutput(files.path('no/where'), 1)).toThrow(
    'no/where: no such file or directory',
  );
});

test('a closed output refuses bytes', () => {
  const file = createOutput(files.path('closed'), 0);
  closeOutput(file);
  expect(() => writeBytes(file, Uint8Array.of(1), 0)).toThrow('closed');
});
