/** What the commit asks of the disk: room for the output, and bytes that survive a power cut. */

import fs, { readdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { formatSize } from '../bytes.ts';
import { fromSystemError, hasErrno, ResourceError } from '../errors.ts';

/** Free bytes for this user on the file system of `path` or its nearest existing ancestor; `undefined` if unknown. */
export function freeSpace(path: string): bigint | undefined {
  try {
    const stats = statfsSync(path, { bigint: true });
    // Some network and user-space file systems have no figures and report zero blocks in total.
    return stats.blocks === 0n ? undefined : stats.bavail * stats.bsize;
  } catch (error) {
    if (hasErrno(error, 'ENOENT') && dirname(path) !== path) return freeSpace(dirname(path));
    if (hasErrno(error, 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP')) return undefined;
    throw fromSystemError(error, `looking at ${path}`);
  }
}

/**
 * Throws a {@link ResourceError} `ERR_NO_SPACE` with both numbers when the file system of `directory`, which need
 * not exist yet, has less than `byteLength` bytes left. Passing is no promise: others write too.
 */
export function checkFreeSpace(directory: string, byteLength: number): void {
  const free = freeSpace(directory);
  if (free === undefined || free >= BigInt(byteLength)) return;
  throw new ResourceError(
    'ERR_NO_SPACE',
    `${directory}: the output needs ${formatSize(byteLength)} (${byteLength} bytes), ${formatSize(Number(free))} (${free} bytes) are free`,
    {
      hint: 'free some space or write to another disk',
      details: { directory, byteLength, freeByteLength: Number(free) },
    },
  );
}

// A promise made here: `node:fs/promises` brings file watchers and readline, which takes Node 20 longer than a flush.
const fsync = promisify(fs.fsync);

/** Only the flush may take long; to open and close a file elsewhere takes longer than to do it here. */
async function syncPath(path: string, flags: 'r' | 'r+'): Promise<void> {
  const fd = fs.openSync(path, flags);
  try {
    await fsync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Flushes a file to the disk. Throws a `ResourceError`. */
export async function syncFile(path: string): Promise<void> {
  try {
    // Windows flushes only through a writable handle; elsewhere read-only files must work too.
    await syncPath(path, process.platform === 'win32' ? 'r+' : 'r');
  } catch (error) {
    throw fromSystemError(error, `writing ${path}`);
  }
}

/** Flushes the names in a directory, where the system knows such a thing. Throws a `ResourceError`. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  try {
    await syncPath(path, 'r');
  } catch (error) {
    if (hasErrno(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP')) return;
    throw fromSystemError(error, `writing ${path}`);
  }
}

/** A directory's content, parents before children; paths relative to it, with forward slashes; links not followed. */
export interface Tree {
  readonly directories: readonly string[];
  readonly files: readonly string[];
}

/** Lists everything below `directory`. */
export function listTree(directory: string): Tree {
  const directories: string[] = [];
  const files: string[] = [];
  const visit = (prefix: string): void => {
    for (const entry of readdirSync(join(directory, prefix), { withFileTypes: true })) {
      const path = `${prefix}${entry.name}`;
      if (!entry.isDirectory()) {
        files.push(path);
      } else {
        directories.push(path);
        visit(`${path}/`);
      }
    }
  };
  visit('');
  return { directories, files };
}
