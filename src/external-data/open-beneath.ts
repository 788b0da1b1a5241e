/**
 * Opening a file beneath a directory, so that neither a link nor a swap while it happens leads out of it. What is
 * compared by name can be another file a moment later; what is looked up in an open directory cannot.
 */

import type { BigIntStats } from 'node:fs';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { join, sep } from 'node:path';
import { hasErrno } from '../errors.ts';

/**
 * Opens `path`, relative to and resolved beneath the open directory `directoryFd`, for reading and without
 * following a link out of it. Undefined where the system cannot do it this way; otherwise throws an error with an
 * errno `code`. The addon has one that is a single system call (`openat2` with `RESOLVE_BENEATH`).
 */
export type OpenBeneath = (directoryFd: number, path: string) => number | undefined;

/** A directory that was looked at: its path, free of symbolic links, and what was there. */
export interface Directory {
  readonly path: string;
  readonly stats: BigIntStats;
}

/** Reading only; a FIFO must not block the open and a last-moment link must not be followed. */
const FILE_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);

/** O_PATH of Linux, which Node does not name: a place to look names up in, without the right to list it. */
const O_PATH = process.platform === 'linux' ? 0o10000000 : 0;
const DIRECTORY_FLAGS =
  constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0) | O_PATH;

/** True when two stats describe one inode. */
export function isSameInode(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** What a link or another file in the place of one that was checked looks like to the caller. */
function replaced(path: string): Error {
  return Object.assign(new Error(`${path} was replaced`), { code: 'EXDEV' });
}

/**
 * {@link OpenBeneath} in TypeScript: each name of `path` is opened in the directory before it, links not followed.
 * Linux alone lets a name be looked up in an open directory without `openat`, through `/proc/self/fd`.
 */
export const walkBeneath: OpenBeneath = (directoryFd, path) => {
  const inside = (fd: number, name: string) => `/proc/self/fd/${fd}/${name}`;
  if (!isShownInProc(directoryFd)) return undefined;
  const names = path.split(sep);
  const last = names.pop() ?? '';
  let fd = directoryFd;
  try {
    for (const name of names) {
      const next = openSync(inside(fd, name), DIRECTORY_FLAGS);
      if (fd !== directoryFd) closeSync(fd);
      fd = next;
    }
    return openSync(inside(fd, last), FILE_FLAGS);
  } finally {
    if (fd !== directoryFd) closeSync(fd);
  }
};

/** The ways to go: the native call where there is one, then {@link walkBeneath}. */
export function waysToOpen(native: OpenBeneath | undefined): readonly OpenBeneath[] {
  return native === undefined ? [walkBeneath] : [native, walkBeneath];
}

function isShownInProc(fd: number): boolean {
  if (process.platform !== 'linux') return false;
  const shown = statSync(`/proc/self/fd/${fd}`, { bigint: true, throwIfNoEntry: false });
  return shown !== undefined && isSameInode(shown, fstatSync(fd, { bigint: true }));
}

/**
 * Opens `realPath`, which had no links, where no directory handle can be used: afterwards it must still have none,
 * and be the file that was opened. Somebody who goes on swapping names at the right moments gets past this.
 */
function openCompared(realPath: string): number {
  const fd = openSync(realPath, FILE_FLAGS);
  try {
    const isUnmoved =
      realpathSync.native(realPath) === realPath &&
      isSameInode(lstatSync(realPath, { bigint: true }), fstatSync(fd, { bigint: true }));
    if (!isUnmoved) throw replaced(realPath);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Opens the file at `path`, relative to `directory` and free of links when it was looked at, by the first of `ways`
 * that this system can go. Throws an error with an errno `code`: EXDEV, ELOOP or ENOTDIR where something else is
 * there now. The descriptor is the caller's to close and may be anything: check for a regular file.
 */
export function openInside(
  directory: Directory,
  path: string,
  ways: readonly OpenBeneath[],
): number {
  const directoryFd = openSync(directory.path, DIRECTORY_FLAGS);
  try {
    if (!isSameInode(fstatSync(directoryFd, { bigint: true }), directory.stats)) {
      throw replaced(directory.path);
    }
    for (const open of ways) {
      const fd = tryOpen(open, directoryFd, path);
      if (fd !== undefined) return fd;
    }
  } finally {
    closeSync(directoryFd);
  }
  return openCompared(join(directory.path, path));
}

function tryOpen(open: OpenBeneath, directoryFd: number, path: string): number | undefined {
  try {
    return open(directoryFd, path);
  } catch (error) {
    // Some containers forbid the call itself; the next way finds out what is really forbidden.
    if (hasErrno(error, 'ENOSYS', 'EPERM')) return undefined;
    throw error;
  }
}
