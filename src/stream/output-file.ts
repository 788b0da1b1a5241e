/** Files that are being written. */

import { closeSync, fstatSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { fromSystemError, hasErrno, UsageError } from '../errors.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { loadNative } from '../native.ts';
import type { OutputFile, OutputPlace } from './program.ts';

/** Creates an empty file. Throws a UsageError when the path exists, else a ResourceError. */
export function openOutput(path: string): OutputFile {
  try {
    return { fd: openSync(path, 'wx'), path };
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) {
      throw new UsageError('ERR_OUTPUT_EXISTS', `${path} exists already`, { cause: error });
    }
    throw fromSystemError(error, `creating ${path}`);
  }
}

/**
 * Makes a file reach over a range, its blocks reserved where the file system can do that: a full disk is then met
 * before anything is written. Throws a ResourceError when it is full.
 */
export function reserveOutput(file: OutputFile, byteOffset: number, byteLength: number): void {
  try {
    const addon = loadNative();
    if (addon) addon.preallocate(file.fd, byteOffset, byteLength);
    else if (fstatSync(file.fd).size < byteOffset + byteLength) {
      ftruncateSync(file.fd, byteOffset + byteLength);
    }
  } catch (error) {
    throw fromSystemError(error, `reserving ${byteLength} bytes for ${file.path}`);
  }
}

/**
 * Creates a file of `byteLength` bytes that does not exist yet, reserved like {@link reserveOutput} does. Throws a
 * UsageError when the path exists and a ResourceError when the disk is full; the file is then removed again.
 */
export function createOutput(path: string, byteLength: number): OutputFile {
  const file = openOutput(path);
  try {
    reserveOutput(file, 0, byteLength);
  } catch (error) {
    closeSync(file.fd);
    unlinkSync(path);
    throw error;
  }
  return file;
}

/**
 * Has a range of an output refer to the blocks of a source, as XFS and btrfs can. Returns false where that is
 * impossible; nothing has changed then. The output must already reach over the range.
 */
export function shareBlocks(
  source: { readonly file: SourceFile; readonly byteOffset: number },
  byteLength: number,
  target: OutputPlace,
): boolean {
  const addon = loadNative();
  if (addon === undefined) return false;
  const { file, byteOffset } = source;
  try {
    addon.reflinkRange(file.fd, byteOffset, byteLength, target.file.fd, target.byteOffset);
    return true;
  } catch (error) {
    // Whatever the reason, copying either works or says what is wrong with the disk.
    if (hasErrno(error)) return false;
    throw error;
  }
}

/** Writes small bytes, such as a protobuf header between payloads, at an offset. */
export function writeBytes(file: OutputFile, bytes: Uint8Array, byteOffset: number): void {
  try {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(file.fd, bytes, done, bytes.length - done, byteOffset + done);
    }
  } catch (error) {
    throw fromSystemError(error, `writing ${file.path}`);
  }
}

/** Closes an output. */
export function closeOutput(file: OutputFile): void {
  closeSync(file.fd);
}
