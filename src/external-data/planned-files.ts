/** The files of a plan, created: blocks shared with the input where the file system can, room reserved for the rest. */

import { mkdirSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromSystemError } from '../errors.ts';
import type { FileRange } from '../model/tensor-data.ts';
import {
  closeOutput,
  createOutput,
  openOutput,
  reserveOutput,
  shareBlocks,
  writeBytes,
} from '../stream/output-file.ts';
import type { OutputFile, OutputPlace } from '../stream/program.ts';
import { type Extent, outside, type SharedStretch, sharedStretches } from './block-sharing.ts';
import { checkFreeSpace } from './disk.ts';
import type { PlannedWrite, SavePlan } from './plan.ts';

/** Output files, open, and what they hold already. */
export interface PlannedFiles {
  readonly files: ReadonlyMap<string, OutputFile>;
  /** By file: the ranges that are there already. */
  readonly shared: ReadonlyMap<string, readonly Extent[]>;
  readonly sharedBytes: number;
}

/** Where a write goes. */
export function placeOf({ file, byteOffset }: PlannedWrite, { files }: PlannedFiles): OutputPlace {
  const target = files.get(file);
  if (target === undefined) throw new Error(`the plan writes to ${file}, which it does not have`);
  return { file: target, byteOffset };
}

/** What of `source`, which `write` copies, the files do not hold already, and where it goes. */
export function* unsharedRanges(
  write: PlannedWrite,
  source: FileRange,
  created: PlannedFiles,
): Generator<{ readonly range: FileRange; readonly place: OutputPlace }> {
  const { file, byteOffset: start } = placeOf(write, created);
  for (const { byteOffset, byteLength } of outside(write, created.shared.get(write.file) ?? [])) {
    const from = source.byteOffset + byteOffset - start;
    yield { range: { ...source, byteOffset: from, byteLength }, place: { file, byteOffset } };
  }
}

/** Bytes of `source` at a place where the output has zeros. */
function isZeros({ source, sourceOffset, byteOffset }: SharedStretch, gap: Extent): boolean {
  const bytes = Buffer.alloc(gap.byteLength);
  const position = sourceOffset + gap.byteOffset - byteOffset;
  let done = 0;
  while (done < bytes.length) {
    const got = readSync(source.fd, bytes, done, bytes.length - done, position + done);
    if (got === 0) break;
    done += got;
  }
  return bytes.every((byte) => byte === 0);
}

/** Shares as many of `stretches` as the file system lets; returns those. */
function shareStretches(target: OutputFile, stretches: readonly SharedStretch[]): SharedStretch[] {
  const shared: SharedStretch[] = [];
  for (const stretch of stretches) {
    const { source, sourceOffset, byteOffset, byteLength, gaps } = stretch;
    const from = { file: source, byteOffset: sourceOffset };
    if (!shareBlocks(from, byteLength, { file: target, byteOffset })) return shared;
    for (const gap of gaps) {
      if (!isZeros(stretch, gap)) writeBytes(target, Buffer.alloc(gap.byteLength), gap.byteOffset);
    }
    shared.push(stretch);
  }
  return shared;
}

/**
 * Creates the files of a plan in `directory`, directories included, at their full length. All are closed again when
 * one fails. Throws a ResourceError, `ERR_NO_SPACE` with both numbers when what cannot be shared does not fit.
 * @param otherBytes what else will go to that disk
 */
export function createPlannedFiles(
  plan: SavePlan,
  directory: string,
  otherBytes: number,
): PlannedFiles {
  const files = new Map<string, OutputFile>();
  const shared = new Map<string, readonly SharedStretch[]>();
  let sharedBytes = 0;
  try {
    const pathOf = (name: string) => {
      const path = join(directory, name);
      mkdirSync(dirname(path), { recursive: true });
      return path;
    };
    for (const { name, byteLength } of plan.files.slice(1)) {
      const stretches = sharedStretches(plan.dataWrites(name), byteLength);
      if (stretches.length === 0) continue;
      const file = openOutput(pathOf(name));
      files.set(name, file);
      const done = shareStretches(file, stretches);
      shared.set(name, done);
      for (const stretch of done) sharedBytes += stretch.byteLength;
    }
    checkFreeSpace(directory, plan.byteLength - sharedBytes + otherBytes);
    for (const { name, byteLength } of plan.files) {
      const file = files.get(name);
      if (file === undefined) {
        files.set(name, createOutput(pathOf(name), byteLength));
        continue;
      }
      const taken = shared.get(name) ?? [];
      for (const rest of outside({ byteOffset: 0, byteLength }, taken)) {
        reserveOutput(file, rest.byteOffset, rest.byteLength);
      }
    }
    return { files, shared, sharedBytes };
  } catch (error) {
    for (const file of files.values()) closeOutput(file);
    throw fromSystemError(error, `writing to ${directory}`);
  }
}
