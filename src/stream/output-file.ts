/** Files that are being written. */

import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { fromSystemError, hasErrno, UsageError } from '../errors.ts';
import { loadNative } from '../native.ts';
import type { OutputFile } from './program.ts';

/**
 * Creates a file of `byteLength` bytes that does not exist yet, with its blocks reserved where the file system can
 * do that: a full disk is then met before anything is written. Throws a UsageError when the path exists and a
 * ResourceError when the disk is full; the file is then removed again.
 */
export function createOutput(path: string, byteLength: number): OutputFile {
  let fd: number;
  try {
    fd = openSync(path, 'wx');
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) {
      throw new UsageError('ERR_OUTPUT_EXISTS', `${path} exists already`, { cause: error });
    }
    throw fromSystemError(error, `creating ${path}`);
  }
  try {
    const addon = loadNative();
    if (addon) addon.preallocate(fd, 0, byteLength);
    else ftruncateSync(fd, byteLength);
  } catch (error) {
    closeSync(fd);
    unlinkSync(path);
    throw fromSystemError(error, `reserving ${byteLength} bytes for ${path}`);
  }
  return { fd, path };
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
