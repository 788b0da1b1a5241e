/**
 * The commit that goes file by file: for an output directory that cannot be swapped as a whole (a mount point, no
 * system call for it) or must keep its other files. At every moment the directory holds a whole model: new data
 * comes under names nobody used, then the `.onnx` is replaced in one step, and only then old files go.
 */

import { mkdirSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UsageError } from '../errors.ts';
import { lstatIfPresent } from './directory-entries.ts';
import { listTree, syncDirectory } from './disk.ts';
import { type OutputTarget, STAGING_NAME } from './output.ts';
import { removeEmptyDirectories } from './staging.ts';

/** Files of an output, relative to its directory, with forward slashes. */
export interface OutputFiles {
  /** The `.onnx`. */
  readonly model: string;
  /** The data files it refers to. */
  readonly data: readonly string[];
}

/** Called before each step that changes what others see. */
export type BeforeStep = (step: string) => void | Promise<void>;

interface Placement {
  readonly target: OutputTarget;
  readonly staging: string;
  /** Flush the directories that files were placed in. */
  readonly syncs: boolean;
  readonly beforeStep: BeforeStep;
}

function conflict(path: string, problem: string): UsageError {
  return new UsageError('ERR_OUTPUT_EXISTS', `${path} ${problem}; nothing was replaced`, {
    hint: 'give a new output, or remove the file yourself',
    details: { path },
  });
}

/** Checks that `file` can take its place. Returns whether it replaces a file there. */
function checkPlace(target: OutputTarget, file: string, mayReplace: boolean): boolean {
  const names = file.split('/');
  for (let depth = 1; depth < names.length; depth++) {
    const parent = join(target.directory, ...names.slice(0, depth));
    const stats = lstatIfPresent(parent);
    if (stats === undefined) break;
    // A link would take the file out of the output.
    if (!stats.isDirectory()) throw conflict(parent, 'is in the way of a directory');
  }
  const path = join(target.directory, file);
  const stats = lstatIfPresent(path);
  if (stats === undefined) return false;
  if (!mayReplace || stats.isDirectory()) throw conflict(path, 'exists');
  return true;
}

/** Renames staged files into the output; `onPlaced` hears of each. */
async function place(
  { target, staging, syncs, beforeStep }: Placement,
  step: string,
  files: readonly string[],
  onPlaced: (path: string) => void = () => undefined,
): Promise<void> {
  const directories = new Set<string>();
  for (const file of files) {
    await beforeStep(step);
    const path = join(target.directory, file);
    const madeFrom = mkdirSync(dirname(path), { recursive: true });
    if (madeFrom !== undefined) directories.add(dirname(madeFrom));
    renameSync(join(staging, file), path);
    onPlaced(path);
    directories.add(dirname(path));
  }
  if (!syncs) return;
  for (const directory of directories) await syncDirectory(directory);
}

/** Removes what the directory held before and the output does not have: graphs first, then what they refer to. */
async function removeOld(
  { target, beforeStep }: Placement,
  old: { readonly directories: readonly string[]; readonly files: readonly string[] },
  kept: ReadonlySet<string>,
): Promise<string[]> {
  const isGraph = (file: string) => file.endsWith('.onnx');
  const gone = old.files.filter((file) => !kept.has(file));
  const leftovers: string[] = [];
  for (const file of [...gone.filter(isGraph), ...gone.filter((name) => !isGraph(name))]) {
    await beforeStep('remove-old');
    const path = join(target.directory, file);
    try {
      unlinkSync(path);
    } catch {
      leftovers.push(path);
    }
  }
  removeEmptyDirectories(old.directories.map((path) => join(target.directory, path)));
  return leftovers;
}

/**
 * Places the staged files. Data files never replace anything; with `force`, the `.onnx` and other files do.
 * Returns the old files that could not be removed. An error before the `.onnx` is in place leaves the directory
 * as it was. Throws a {@link UsageError} `ERR_OUTPUT_EXISTS` or what the system says.
 */
export async function placeFiles(placement: Placement, files: OutputFiles): Promise<string[]> {
  const { target, staging } = placement;
  const isOwn = (path: string) => STAGING_NAME.test(path.split('/')[0] ?? '');
  const isKept = (path: string) => isOwn(path) || path.split('/')[0] === 'lost+found';
  const staged = listTree(staging).files;
  const assets = staged.filter((file) => file !== files.model && !files.data.includes(file));
  for (const file of files.data) checkPlace(target, file, false);
  checkPlace(target, files.model, target.force);
  const replacing = assets.filter((file) => checkPlace(target, file, target.force));
  const adding = assets.filter((file) => !replacing.includes(file));

  const before = target.state === 'replaced' ? listTree(target.directory) : undefined;
  const placed: string[] = [];
  let isModelPlaced = false;
  try {
    const note = (path: string) => placed.push(path);
    await place(placement, 'place-data', files.data, note);
    await place(placement, 'place-assets', adding, note);
    await place(placement, 'place-model', [files.model], () => {
      isModelPlaced = true;
    });
  } catch (error) {
    if (!isModelPlaced) for (const path of placed) rmSync(path, { force: true });
    throw error;
  }
  await place(placement, 'replace-assets', replacing);
  if (before === undefined) return [];
  const old = {
    directories: before.directories.filter((path) => !isKept(path)),
    files: before.files.filter((path) => !isKept(path)),
  };
  return removeOld(placement, old, new Set(staged));
}
