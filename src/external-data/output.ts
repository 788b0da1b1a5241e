/** What `-o` means and what it may replace: every refusal there is, before anything is written. */

import { readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import {
  type ErrorCode,
  fromSystemError,
  hasErrno,
  PreconditionError,
  UsageError,
} from '../errors.ts';
import { isWeightName } from './assets.ts';
import { lstatIfPresent, statIfReachable } from './directory-entries.ts';
import { isBeneath } from './location.ts';

export interface OutputOptions {
  /** Replace what is there. */
  readonly force?: boolean;
  /** The files the model is read from; the output must not replace one. */
  readonly inputPaths?: readonly string[];
  /** The output is the input's own `.onnx` (`--in-place`): allowed, when no input file is a link. */
  readonly replacesInput?: boolean;
}

/** Where the finished model goes. */
export interface OutputTarget {
  /** As the caller spelled it, for messages. */
  readonly path: string;
  /** Absolute path, links resolved, of the directory that will hold the model; it may not exist yet. */
  readonly directory: string;
  /** File name of the model when the caller chose it with `-o X.onnx`. */
  readonly modelFileName: string | undefined;
  /**
   * What happens to `directory`: `absent` and `empty` become the output, the content of `replaced` gives way to
   * it, `shared` keeps what it has and takes the model's files in addition (`-o X.onnx`).
   */
  readonly state: 'absent' | 'empty' | 'replaced' | 'shared';
  readonly force: boolean;
}

/** Names the commit gives to its own temporary directories: `.<output>.lathe-<process>-<machine>-<random>`. */
export const STAGING_NAME = /^\..*\.lathe-(\d+)-([0-9a-f]{8})-[0-9a-f]{12}$/s;

/** Absolute path with the links of its existing part resolved. */
function realPathOf(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync.native(absolute);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR') && dirname(absolute) !== absolute) {
      return join(realPathOf(dirname(absolute)), basename(absolute));
    }
    throw fromSystemError(error, `looking at ${path}`);
  }
}

/** The directory entry that `path` names: links resolved but the last. */
function entryPathOf(path: string): string {
  const absolute = resolve(path);
  return join(realPathOf(dirname(absolute)), basename(absolute));
}

function isWithin(directory: string, path: string): boolean {
  return path === directory || isBeneath(directory, path);
}

function isDirectory(path: string): boolean {
  return statIfReachable(path)?.isDirectory() ?? false;
}

function refuse(code: ErrorCode, message: string, hint: string, path: string): UsageError {
  return new UsageError(code, message, { hint, details: { path } });
}

/** The entries that count: not our own leftovers, not what a new ext4 file system comes with. */
function contentOf(directory: string): string[] {
  try {
    return readdirSync(directory).filter(
      (name) => !STAGING_NAME.test(name) && name !== 'lost+found',
    );
  } catch (error) {
    throw fromSystemError(error, `listing ${directory}`);
  }
}

/**
 * `--force` removes a whole directory, so it takes a mistyped `-o` as far as a model directory and no further.
 */
function checkReplaceable(path: string, directory: string, names: readonly string[]): void {
  const hint = 'give a new directory, or remove this one yourself';
  const doNotReplace = (why: string) =>
    refuse('ERR_OUTPUT_EXISTS', `${path} ${why}; --force does not replace it`, hint, path);
  if (isWithin(directory, realPathOf(process.cwd()))) {
    throw doNotReplace('is or contains the working directory');
  }
  if (isWithin(directory, realPathOf(homedir()))) throw doNotReplace('contains the home directory');
  if (names.includes('.git')) throw doNotReplace('is a Git work tree');
  const holdsModel = (of: string, entries: readonly string[]): boolean =>
    entries.some((name) => isWeightName(name) && !isDirectory(join(of, name)));
  const isModelDirectory =
    holdsModel(directory, names) ||
    names.some((name) => {
      const below = join(directory, name);
      return lstatIfPresent(below)?.isDirectory() === true && holdsModel(below, contentOf(below));
    });
  if (!isModelDirectory) throw doNotReplace('holds no model');
}

function checkDirectoryOutput(output: string, options: OutputOptions): OutputTarget {
  const force = options.force ?? false;
  const entry = lstatIfPresent(output);
  const isLink = entry?.isSymbolicLink() === true;
  if (isLink && statIfReachable(output) === undefined) {
    const hint = 'remove the link or give another directory';
    throw refuse('ERR_OUTPUT_EXISTS', `${output} is a link to nothing`, hint, output);
  }
  if (entry !== undefined && !isDirectory(output)) {
    const hint = 'give a directory, or a file name that ends in .onnx';
    throw refuse('ERR_OUTPUT_EXISTS', `${output} is a file`, hint, output);
  }
  const directory = realPathOf(output);
  const target = { path: output, directory, modelFileName: undefined, force };
  if (entry === undefined) return { ...target, state: 'absent' };

  const names = contentOf(directory);
  if (names.length === 0) return { ...target, state: 'empty' };
  for (const input of options.inputPaths ?? []) {
    if (isWithin(directory, entryPathOf(input)) || isWithin(directory, realPathOf(input))) {
      throw refuse(
        'ERR_OUTPUT_IS_INPUT',
        `${output} holds the input ${input}`,
        'give another directory; --in-place edits the model where it is',
        output,
      );
    }
  }
  if (!force) {
    const count = names.length === 1 ? '1 entry' : `${names.length} entries`;
    const hint = 'give a new directory, or --force to replace this one';
    throw refuse('ERR_OUTPUT_EXISTS', `${output} exists and has ${count}`, hint, output);
  }
  checkReplaceable(output, directory, names);
  return { ...target, state: 'replaced' };
}

function checkInPlace(output: string, inputPaths: readonly string[]): void {
  for (const path of [output, ...inputPaths]) {
    if (lstatIfPresent(path)?.isSymbolicLink() !== true) continue;
    throw new PreconditionError(
      'ERR_PRECONDITION',
      `${path} is a link; it is not edited in place`,
      {
        hint: 'write a copy with -o: the file may belong to a cache that others read',
        details: { path },
      },
    );
  }
}

function checkFileOutput(output: string, options: OutputOptions): OutputTarget {
  const force = options.force === true || options.replacesInput === true;
  const entry = entryPathOf(output);
  const existing = lstatIfPresent(output);
  const inputPaths = options.inputPaths ?? [];
  if (options.replacesInput === true) {
    checkInPlace(output, inputPaths);
  } else {
    const isInput = inputPaths.some(
      (path) => entryPathOf(path) === entry || realPathOf(path) === entry,
    );
    if (isInput) {
      const hint = 'give another name; --in-place edits the model where it is';
      throw refuse('ERR_OUTPUT_IS_INPUT', `${output} is the input`, hint, output);
    }
  }
  if (existing !== undefined && !force) {
    const hint = 'give another name, or --force to replace it';
    throw refuse('ERR_OUTPUT_EXISTS', `${output} exists`, hint, output);
  }
  if (existing !== undefined && !existing.isFile() && !existing.isSymbolicLink()) {
    const hint = 'give another name';
    throw refuse('ERR_OUTPUT_EXISTS', `${output} is not a regular file`, hint, output);
  }
  const directory = dirname(entry);
  const target = { path: output, directory, modelFileName: basename(entry), force };
  return { ...target, state: isDirectory(directory) ? 'shared' : 'absent' };
}

/** The directories an absent output is missing can be made only below a directory. */
function checkAncestor({ path, directory }: OutputTarget): void {
  let ancestor = dirname(directory);
  while (lstatIfPresent(ancestor) === undefined) ancestor = dirname(ancestor);
  if (isDirectory(ancestor)) return;
  const hint = 'give a path below a directory';
  throw refuse('ERR_OUTPUT_EXISTS', `${ancestor} is not a directory`, hint, path);
}

/**
 * Reads `-o`: a path that ends in `.onnx` and is no directory names the model file, anything else the directory.
 * Writes nothing, so `--dry-run` can ask.
 *
 * Throws a {@link UsageError}: `ERR_OUTPUT_EXISTS` for what is there and may not be replaced (a directory with
 * content needs `force`, and is replaced only when it looks like a model's), `ERR_OUTPUT_IS_INPUT` when the
 * input would go with it; a {@link PreconditionError} for `replacesInput` through a link; a `ResourceError`.
 */
export function checkOutput(output: string, options: OutputOptions = {}): OutputTarget {
  if (output === '') {
    throw new UsageError('ERR_OPTION', 'the output is an empty path', {
      hint: 'give a directory or a file name that ends in .onnx',
    });
  }
  try {
    const isFileName = output.endsWith('.onnx') && !isDirectory(output);
    const target = isFileName
      ? checkFileOutput(output, options)
      : checkDirectoryOutput(output, options);
    if (target.state === 'absent') checkAncestor(target);
    return target;
  } catch (error) {
    throw fromSystemError(error, `looking at ${output}`);
  }
}

/** File name of the model in an output: the one `-o X.onnx` chose, else the input's. */
export function outputModelName(target: OutputTarget, inputModelPath: string): string {
  return target.modelFileName ?? basename(inputModelPath);
}
