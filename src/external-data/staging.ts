/** The directory an output grows in before it is visible, and how it will become visible. */

import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fromSystemError, hasErrno } from '../errors.ts';
import { secretBytes } from '../proto/secret-bytes.ts';
import { lstatIfPresent } from './directory-entries.ts';
import { isBeneath } from './location.ts';
import type { OutputTarget } from './output.ts';
import { STAGING_NAME } from './output.ts';

/**
 * Swaps two existing paths of one file system in one step (`renameat2` with `RENAME_EXCHANGE`). Throws an error
 * with an errno `code` where the system or the file system cannot.
 */
export type RenameExchange = (a: string, b: string) => void;

/**
 * How the output becomes visible: the staged directory is renamed to it, swapped with the old one, or its files
 * are renamed into it one by one, the `.onnx` last.
 */
export type CommitMode = 'rename' | 'exchange' | 'place';

/** A staging directory, made. */
export interface Staging {
  readonly directory: string;
  readonly mode: CommitMode;
  /** Parents of the output made for it, outermost first: removed again when the run is given up. */
  readonly createdParents: readonly string[];
}

/** Tells process numbers of this machine and container from those of another that shares the disk. */
function machineTag(): string {
  let processNamespace = '';
  try {
    processNamespace = readlinkSync('/proc/self/ns/pid');
  } catch {
    // Not Linux: no namespaces to tell apart.
  }
  // FNV-1a: nobody gains by a collision, and node:crypto takes 10 ms to load.
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${hostname()}\n${processNamespace}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

function stagingPrefix(outputName: string): string {
  // 48 characters of at most four bytes leave room for the rest within the 255 bytes of a name.
  return `.${[...outputName].slice(0, 48).join('')}.lathe-`;
}

function newStagingName(outputName: string): string {
  const random = secretBytes(6).toString('hex');
  return `${stagingPrefix(outputName)}${process.pid}-${machineTag()}-${random}`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !hasErrno(error, 'ESRCH');
  }
}

function entriesIfReadable(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/**
 * Removes what killed runs to the same output left in `directory`: provably ours by name, made on this machine by
 * a process that is gone. What another machine made stays.
 */
function removeLeftovers(directory: string, outputName: string): void {
  for (const name of entriesIfReadable(directory)) {
    const [, pid, tag] = STAGING_NAME.exec(name) ?? [];
    const isOurs = name.startsWith(stagingPrefix(outputName)) && tag === machineTag();
    if (!isOurs || isAlive(Number(pid))) continue;
    const path = join(directory, name);
    if (lstatIfPresent(path)?.isDirectory() === true) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

/** Makes `directory` and its parents; returns those that were missing, outermost first. */
function makeParents(directory: string): string[] {
  const missing: string[] = [];
  for (let path = directory; lstatIfPresent(path) === undefined; ) {
    missing.unshift(path);
    path = dirname(path);
  }
  mkdirSync(directory, { recursive: true });
  return missing;
}

/** Removes the directories of `paths` that are empty, innermost first. */
export function removeEmptyDirectories(paths: readonly string[]): void {
  for (const path of [...paths].reverse()) {
    try {
      rmdirSync(path);
    } catch {
      // Somebody put something into it.
    }
  }
}

/** True when a rename from one directory to the other works: one file system, and no mount point between them. */
function canRenameInto(from: string, to: string, outputName: string): boolean {
  const probe = newStagingName(outputName);
  mkdirSync(join(from, probe));
  try {
    renameSync(join(from, probe), join(to, probe));
    rmdirSync(join(to, probe));
    return true;
  } catch (error) {
    rmdirSync(join(from, probe));
    if (hasErrno(error)) return false;
    throw error;
  }
}

/** True when the file system of `directory` swaps two names. */
function canExchange(directory: string, renameExchange: RenameExchange): boolean {
  const paths = [join(directory, 'a'), join(directory, 'b')] as const;
  try {
    for (const path of paths) mkdirSync(path);
    renameExchange(...paths);
    return true;
  } catch {
    return false;
  } finally {
    removeEmptyDirectories(paths);
  }
}

/** A sibling of an existing output directory, or `undefined` where the parent is closed or on another mount. */
function makeSibling(target: OutputTarget): string | undefined {
  const { directory } = target;
  const outputName = basename(directory);
  const isUnderUs = process.cwd() === directory || isBeneath(directory, process.cwd());
  // A shell that stands in the output would be left in a removed directory.
  if (isUnderUs || dirname(directory) === directory) return undefined;
  const sibling = join(dirname(directory), newStagingName(outputName));
  try {
    mkdirSync(sibling);
  } catch (error) {
    if (hasErrno(error, 'EACCES', 'EPERM', 'EROFS', 'ENOSPC')) return undefined;
    throw error;
  }
  try {
    if (canRenameInto(sibling, directory, outputName)) return sibling;
    rmdirSync(sibling);
    return undefined;
  } catch (error) {
    rmdirSync(sibling);
    throw error;
  }
}

function makeInside(directory: string, outputName: string): Staging {
  const inside = join(directory, newStagingName(outputName));
  mkdirSync(inside);
  return { directory: inside, mode: 'place', createdParents: [] };
}

function makeStaging(target: OutputTarget, renameExchange: RenameExchange | undefined): Staging {
  const { directory, state } = target;
  const outputName = basename(directory);
  if (state === 'absent') {
    const createdParents = makeParents(dirname(directory));
    removeLeftovers(dirname(directory), outputName);
    const sibling = join(dirname(directory), newStagingName(outputName));
    try {
      mkdirSync(sibling);
    } catch (error) {
      removeEmptyDirectories(createdParents);
      throw error;
    }
    return { directory: sibling, mode: 'rename', createdParents };
  }
  if (state === 'shared') {
    const modelName = target.modelFileName ?? outputName;
    removeLeftovers(directory, modelName);
    return makeInside(directory, modelName);
  }
  removeLeftovers(dirname(directory), outputName);
  removeLeftovers(directory, outputName);
  const sibling = makeSibling(target);
  if (sibling === undefined) return makeInside(directory, outputName);
  try {
    // The output keeps the permissions that its owner gave the directory.
    chmodSync(sibling, statSync(directory).mode & 0o7777);
  } catch (error) {
    removeEmptyDirectories([sibling]);
    throw error;
  }
  const staged = { directory: sibling, createdParents: [] };
  if (state === 'empty') return { ...staged, mode: 'rename' };
  const isExchanged = renameExchange !== undefined && canExchange(sibling, renameExchange);
  return { ...staged, mode: isExchanged ? 'exchange' : 'place' };
}

/**
 * Makes the staging directory of `target` on the output's file system, after removing what a killed run left, and
 * finds out by trying which commit the file system allows. Throws a `ResourceError`.
 */
export function createStaging(target: OutputTarget, renameExchange?: RenameExchange): Staging {
  try {
    return makeStaging(target, renameExchange);
  } catch (error) {
    throw fromSystemError(error, `writing to ${target.path}`);
  }
}
