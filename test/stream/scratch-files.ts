/** Real files in a directory of their own, for tests of the stream room. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileRange, SourceFile } from '../../src/model/tensor-data.ts';
import { loadNative } from '../../src/native.ts';
import { closeOutput, createOutput } from '../../src/stream/output-file.ts';
import type { OutputFile } from '../../src/stream/program.ts';
import { closeSource, openSource } from '../support/source-file.ts';

/** The executors that can run here. */
export const executors: readonly ('native' | 'wasm' | 'typescript')[] = loadNative()
  ? ['native', 'wasm', 'typescript']
  : ['wasm', 'typescript'];

/** A directory whose files are opened, and in the end closed and removed. */
export class ScratchFiles implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'lathe-stream-'));
  readonly #sources: SourceFile[] = [];
  readonly #outputs: OutputFile[] = [];
  #count = 0;

  path(name: string): string {
    return join(this.directory, name);
  }

  /** A file that holds `bytes` between `before` and `after` bytes of padding. */
  source(bytes: Uint8Array, before = 0, after = 0): FileRange {
    const path = this.path(`in-${this.#count++}`);
    writeFileSync(
      path,
      Buffer.concat([Buffer.alloc(before, 0x55), bytes, Buffer.alloc(after, 0xaa)]),
    );
    const file = openSource(path);
    this.#sources.push(file);
    return { kind: 'range', file, byteOffset: before, byteLength: bytes.length };
  }

  output(byteLength: number): OutputFile {
    const file = createOutput(this.path(`out-${this.#count++}`), byteLength);
    this.#outputs.push(file);
    return file;
  }

  [Symbol.dispose](): void {
    for (const file of this.#sources) closeSource(file);
    for (const file of this.#outputs) closeOutput(file);
    rmSync(this.directory, { recursive: true });
  }
}

/** Bytes that look random and are the same every time. */
export function noise(byteLength: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < byteLength; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Lets this process write files up to `bytes` long while `work` runs: the disk is full wherever one likes. */
export async function withFileSizeLimit(bytes: number, work: () => unknown): Promise<void> {
  const limit = (value: number | 'unlimited') =>
    spawnSync('prlimit', [`--pid=${process.pid}`, `--fsize=${value}:`]).status;
  if (limit(bytes) !== 0) throw new Error('prlimit failed');
  try {
    await work();
  } finally {
    limit('unlimited');
  }
}
