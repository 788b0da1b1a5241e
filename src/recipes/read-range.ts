/** Reading a small part of a source file at once. */

import { read } from 'node:fs';
import { promisify } from 'node:util';
import { FormatError, fromSystemError } from '../errors.ts';
import type { FileRange } from '../model/tensor-data.ts';

const readAt = promisify(read);

/** Fills `target` from byte `byteOffset` of a range. Throws a FormatError when the file became shorter. */
export async function readRange(
  range: FileRange,
  byteOffset: number,
  target: Buffer,
): Promise<void> {
  const { fd, path } = range.file;
  for (let done = 0; done < target.byteLength; ) {
    const position = range.byteOffset + byteOffset + done;
    const { bytesRead } = await readAt(fd, target, done, target.byteLength - done, position).catch(
      (error: unknown) => {
        throw fromSystemError(error, `reading ${path} at byte ${position}`);
      },
    );
    if (bytesRead === 0) {
      throw new FormatError('ERR_CHANGED', `${path}: became shorter while it was read`);
    }
    done += bytesRead;
  }
}
