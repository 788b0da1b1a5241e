/** Files that tensor bytes are read from. */

import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { FormatError, fromSystemError, hasErrno, ResourceError } from '../../src/errors.ts';
import type { SourceFile } from '../../src/model/tensor-data.ts';

/**
 * Makes a SourceFile of an open descriptor. Closes it and throws a FormatError unless it is a regular file: a FIFO
 * or device would block or never end.
 */
export function adoptSource(fd: number, path: string): SourceFile {
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) {
      throw new FormatError('ERR_EXTERNAL_DATA', `${path}: not a regular file`);
    }
    return { fd, path, byteLength: status.size };
  } catch (error) {
    closeSync(fd);
    throw fromSystemError(error, `opening ${path}`);
  }
}

/**
 * Opens a regular file for reading, following links; does not wait for the other end of a FIFO. Throws a
 * ResourceError (`ERR_NOT_FOUND` when there is no such file) or, for anything but a regular file, a FormatError.
 */
export function openSource(path: string): SourceFile {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) {
      throw new ResourceError('ERR_NOT_FOUND', `${path}: no such file`, { cause: error });
    }
    throw fromSystemError(error, `opening ${path}`);
  }
  return adoptSource(fd, path);
}

/** Closes a source. Its ranges must not be used afterwards. */
export function closeSource(source: SourceFile): void {
  closeSync(source.fd);
}
