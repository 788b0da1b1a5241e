/** Model files as a {@link ByteReader}. */

import { readSync } from 'node:fs';
import { fromSystemError, ResourceError } from '../errors.ts';
import type { ByteReader } from './wire.ts';

/**
 * A reader over an open file of `byteLength` bytes; the descriptor stays its owner's. Every `read` is one copy into
 * fresh memory, or the memory it is given. Throws a ResourceError when the file turns out shorter or cannot be read.
 * @param path the file's name for messages
 */
export function fileReader(fd: number, byteLength: number, path: string): ByteReader {
  return {
    byteLength,
    fd,
    read(byteOffset, length, scratch) {
      const bytes = scratch?.subarray(0, length) ?? Buffer.allocUnsafeSlow(length);
      let done = 0;
      while (done < length) {
        const count = readSome(fd, bytes.subarray(done), byteOffset + done, path);
        if (count === 0) {
          throw new ResourceError(
            'ERR_CHANGED',
            `${path}: the file ends at byte ${byteOffset + done} and had ${byteLength} bytes when it was opened`,
            { hint: 'another program is writing it; try again when that is done' },
          );
        }
        done += count;
      }
      return bytes;
    },
  };
}

function readSome(fd: number, target: Uint8Array, position: number, path: string): number {
  try {
    return readSync(fd, target, 0, target.length, position);
  } catch (error) {
    throw fromSystemError(error, `reading ${path}`);
  }
}
