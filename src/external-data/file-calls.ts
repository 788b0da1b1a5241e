/**
 * Calls of `node:fs` as promises. `node:fs/promises` has the same, and brings file watchers and readline with it: to
 * load it takes Node 20 twice as long as these calls take.
 */

import fs from 'node:fs';
import { promisify } from 'node:util';

export const chmod = promisify(fs.chmod);
export const mkdir = promisify(fs.mkdir);
export const readdir = promisify(fs.readdir);
export const rename = promisify(fs.rename);
export const rm = promisify(fs.rm);
export const rmdir = promisify(fs.rmdir);
export const unlink = promisify(fs.unlink);

const open = promisify(fs.open);
const fsync = promisify(fs.fsync);
const close = promisify(fs.close);

/** Opens a file or directory and flushes it. */
export async function syncPath(path: string, flags: 'r' | 'r+'): Promise<void> {
  const fd = await open(path, flags);
  try {
    await fsync(fd);
  } finally {
    await close(fd);
  }
}
