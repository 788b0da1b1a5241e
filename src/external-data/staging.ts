/** The directory an output grows in before it is visible, and how it will become visible. */

import { readlinkSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fromSystemError, hasErrno } from '../errors.ts';
import { secretBytes } from '../proto/secret-bytes.ts';
import { lstatIfPresent } from './directory-entries.ts';
import { chmod, mkdir, readdir, rename, rm, rmdir } from './file-calls.ts';
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

/**
 * Removes what killed runs to the same output left in `directory`: provably ours by name, made on this machine by
 * a process that is gone. What another machine made stays.
 */
async function removeLeftovers(directory: string, outputName: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const [, pid, tag] = STAGING_NAME.exec(name) ?? [];
    const isOurs = name.startsWith(stagingPrefix(outputName)) && tag === machineTag();
    if (!isOurs || isAlive(Number(pid))) continue;
    const path = join(directory, name);
    if (lstatIfPresent(path)?.isDirectory() === true) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Makes `directory` and its parents; returns those that were missing, outermost first. */
async function makeParents(directory: string): Promise<string[]> {
  const missing: string[] = [];
  for (let path = directory; lstatIfPresent(path) === undefined; ) {
    missing.unshift(path);
    path = dirname(path);
  }
  await mkdir(directory, { recursive: true });
  return missing;
}

/** Removes the directories of `paths` that are empty, innermost first. */
export async function removeEmptyDirectories(paths: readonly string[]): Promise<void> {
  for (const path of [...paths].reverse()) await rmdir(path).catch(() => undefined);
}

/** True when a rename from one directory to the other works: one file system, and no mount point between them. */
async function canRenameInto(from: string, to: string, outputName: string): Promise<boolean> {
  const probe = newStagingName(outputName);
  await mkdir(join(from, probe));
  try {
    await rename(join(from, probe), join(to, probe));
    await rmdir(join(to, probe));
    return true;
  } catch (error) {
    await rmdir(join(from, probe));
    if (hasErrno(error)) return false;
    throw error;
  }
}

/** True when the file system of `directory` swaps two names. */
async function canExchange(directory: string, renameExchange: RenameExchange): Promise<boolean> {
  const paths = [join(directory, 'a'), join(directory, 'b')] as const;
  try {
    for (const path of paths) await mkdir(path);
    renameExchange(...paths);
    return true;
  } catch {
    return false;
  } finally {
    await removeEmptyDirectories(paths);
  }
}

/** A sibling of an existing output directory, or `undefined` where the parent is closed or on another mount. */
async function makeSibling(target: OutputTarget): Promise<string | undefined> {
  const { directory } = target;
  const outputName = basename(directory);
  const isUnderUs = process.cwd() === directory || isBeneath(directory, process.cwd());
  // A shell that stands in the output would be left in a removed directory.
  if (isUnderUs || dirname(directory) === directory) return undefined;
  const sibling = join(dirname(directory), newStagingName(outputName));
  try {
    await mkdir(sibling);
  } catch (error) {
    if (hasErrno(error, 'EACCES', 'EPERM', 'EROFS', 'ENOSPC')) return undefined;
    throw error;
  }
  try {
    if (await canRenameInto(sibling, directory, outputName)) return sibling;
    await rmdir(sibling);
    return undefined;
  } catch (error) {
    await rmdir(sibling);
    throw error;
  }
}

async function makeInside(directory: string, outputName: string): Promise<Staging> {
  const inside = join(directory, newStagingName(outputName));
  await mkdir(inside);
  return { directory: inside, mode: 'place', createdParents: [] };
}

async function makeStaging(
  target: OutputTarget,
  renameExchange: RenameExchange | undefined,
): Promise<Staging> {
  const { directory, state } = target;
  const outputName = basename(directory);
  if (state === 'absent') {
    const createdParents = await makeParents(dirname(directory));
    await removeLeftovers(dirname(directory), outputName);
    const sibling = join(dirname(directory), newStagingName(outputName));
    try {
      await mkdir(sibling);
    } catch (error) {
      await removeEmptyDirectories(createdParents);
      throw error;
    }
    return { directory: sibling, mode: 'rename', createdParents };
  }
  if (state === 'shared') {
    const modelName = target.modelFileName ?? outputName;
    await removeLeftovers(directory, modelName);
    return makeInside(directory, modelName);
  }
  await removeLeftovers(dirname(directory), outputName);
  await removeLeftovers(directory, outputName);
  const sibling = await makeSibling(target);
  if (sibling === undefined) return makeInside(directory, outputName);
  try {
    // The output keeps the permissions that its owner gave the directory.
    await chmod(sibling, statSync(directory).mode & 0o7777);
  } catch (error) {
    await removeEmptyDirectories([sibling]);
    throw error;
  }
  const staged = { directory: sibling, createdParents: [] };
  if (state === 'empty') return { ...staged, mode: 'rename' };
  const isExchanged = renameExchange !== undefined && (await canExchange(sibling, renameExchange));
  return { ...staged, mode: isExchanged ? 'exchange' : 'place' };
}

/**
 * Makes the staging directory of `target` on the output's file system, after removing what a killed run left, and
 * finds out by trying which commit the file system allows. Throws a `ResourceError`.
 */
export async function createStaging(
  target: OutputTarget,
  renameExchange?: RenameExchange,
): Promise<Staging> {
  try {
    return await makeStaging(target, renameExchange);
  } catch (error) {
    throw fromSystemError(error, `writing to ${target.path}`);
  }
}
