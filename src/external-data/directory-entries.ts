/** Looking at directories of strangers: links that loop or lead nowhere are facts to report, no reasons to stop. */

import {
  type BigIntStats,
  type Dirent,
  lstatSync,
  readdirSync,
  type Stats,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { hasErrno } from '../errors.ts';

/** Entries of a directory in the order of their names, by code unit. */
export function sortedEntries(directory: string): Dirent[] {
  return readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What `path` leads to, or `undefined` where links end nowhere or may not be followed. */
export function statIfReachable(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
}

/** The entry at `path` itself, links not followed, or `undefined` where there is none. */
export function lstatIfPresent(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** True when an entry is a directory or a link to one. */
export function isDirectoryEntry(parent: string, entry: Dirent): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return statIfReachable(join(parent, entry.name))?.isDirectory() ?? false;
}
