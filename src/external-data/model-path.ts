/** From the `<model>` argument, a file or a directory, to the one `.onnx` file that is meant. */

import { type Dirent, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError, fromSystemError, hasErrno, ResourceError, UsageError } from '../errors.ts';
import { isDirectoryEntry, sortedEntries } from './directory-entries.ts';

/** The `.onnx` a `<model>` argument means. */
export interface ModelPath {
  /** The `.onnx` file, spelled with the argument as its beginning. */
  readonly path: string;
  /** Name of the component, when the argument is a package of several. */
  readonly component: string | undefined;
  /** The package's other `.onnx` files, relative to the argument, sorted: left alone, named in the report. */
  readonly otherModels: readonly string[];
}

interface Candidate {
  /** Relative to the directory, with forward slashes: `decoder/model.onnx`. */
  readonly relativePath: string;
  /** What `--component` calls it: `decoder`. */
  readonly component: string;
}

const EXTENSION = '.onnx';

function statModel(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) {
      throw new FormatError('ERR_NOT_FOUND', `${path} does not exist`, {
        hint: 'give a .onnx file or a directory that holds one; a broken link means an unfinished download',
        details: { path },
        cause: error,
      });
    }
    throw fromSystemError(error, `opening ${path}`);
  }
}

function entriesOf(directory: string): Dirent[] {
  try {
    return sortedEntries(directory).filter((entry) => !entry.name.startsWith('.'));
  } catch (error) {
    throw fromSystemError(error, `listing ${directory}`);
  }
}

/** The `.onnx` files among entries. Broken links count, so that choosing one says what is wrong with it. */
function modelNames(directory: string, entries: readonly Dirent[]): string[] {
  return entries
    .filter((entry) => entry.name.endsWith(EXTENSION) && !isDirectoryEntry(directory, entry))
    .map((entry) => entry.name);
}

/** Entries of a directory nobody asked for by name: one that may not be read (`lost+found`) holds no model. */
function readableEntries(directory: string): Dirent[] {
  try {
    return entriesOf(directory);
  } catch (error) {
    if (error instanceof ResourceError && error.code === 'ERR_PERMISSION') return [];
    throw error;
  }
}

function withoutExtension(name: string): string {
  return name.slice(0, -EXTENSION.length);
}

/**
 * The models of a package, own files first: `encoder.onnx` beside `decoder.onnx`, or `encoder/model.onnx` and
 * `decoder/model.onnx` one directory below, named after what tells them apart. Hidden entries are no models.
 */
function candidatesIn(directory: string): Candidate[] {
  const entries = entriesOf(directory);
  const own = modelNames(directory, entries).map((name) => ({
    relativePath: name,
    component: withoutExtension(name),
  }));
  const below = entries
    .filter((entry) => isDirectoryEntry(directory, entry))
    .flatMap(({ name: subdirectory }) => {
      const path = join(directory, subdirectory);
      const names = modelNames(path, readableEntries(path));
      return names.map((name) => ({
        relativePath: `${subdirectory}/${name}`,
        component: names.length === 1 ? subdirectory : `${subdirectory}/${withoutExtension(name)}`,
      }));
    });
  return [...own, ...below];
}

/** The single candidate that is meant without a choice: a lone `.onnx`, at the top or else below. */
function onlyCandidate(candidates: readonly Candidate[]): Candidate | undefined {
  const own = candidates.filter(({ relativePath }) => !relativePath.includes('/'));
  const nearest = own.length > 0 ? own : candidates;
  return nearest.length === 1 ? nearest[0] : undefined;
}

function listed(candidates: readonly Candidate[]): string {
  const shown = candidates.slice(0, 8).map(({ relativePath }) => relativePath);
  const rest = candidates.length - shown.length;
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ');
}

function choose(
  directory: string,
  candidates: readonly Candidate[],
  component: string | undefined,
): Candidate {
  const details = { directory, models: candidates.map(({ relativePath }) => relativePath) };
  if (candidates.length === 0) {
    throw new UsageError('ERR_NO_MODEL', `${directory} holds no .onnx file`, {
      hint: 'give the .onnx file or the directory it is in',
      details,
    });
  }
  if (component === undefined) {
    const only = onlyCandidate(candidates);
    if (only !== undefined) return only;
    throw new UsageError(
      'ERR_SEVERAL_MODELS',
      `${directory} holds ${candidates.length} .onnx files: ${listed(candidates)}`,
      {
        hint: `choose one with --component ${candidates[0]?.component}, or give the file`,
        details,
      },
    );
  }
  const wanted = component.replace(/\/+$/, '');
  const matches = candidates.filter(
    (candidate) =>
      candidate.component === wanted ||
      candidate.relativePath === wanted ||
      withoutExtension(candidate.relativePath) === wanted,
  );
  const [match] = matches;
  if (matches.length === 1 && match !== undefined) return match;
  if (matches.length > 1) {
    throw new UsageError(
      'ERR_SEVERAL_MODELS',
      `component "${component}" of ${directory} is either of ${listed(matches)}`,
      { hint: 'give the path of the file as the component', details },
    );
  }
  throw new UsageError('ERR_UNKNOWN_NAME', `${directory} has no component "${component}"`, {
    hint: `components: ${candidates.map((candidate) => candidate.component).join(', ')}`,
    details,
  });
}

/**
 * Finds the `.onnx` that `model` means: the file itself, the only `.onnx` of a directory (its own before those one
 * directory below), or the one that `component` names: `decoder` for `decoder/model.onnx` or `decoder.onnx`.
 *
 * Throws a {@link FormatError} `ERR_NOT_FOUND` for a missing file, a {@link UsageError} `ERR_NO_MODEL`,
 * `ERR_SEVERAL_MODELS` or `ERR_UNKNOWN_NAME` (with the candidates in `details.models`).
 */
export function resolveModelPath(model: string, component?: string): ModelPath {
  const stats = statModel(model);
  if (!stats.isDirectory()) {
    if (!stats.isFile()) {
      throw new FormatError('ERR_MODEL', `${model} is not a regular file`, {
        details: { path: model },
      });
    }
    if (component !== undefined) {
      throw new UsageError('ERR_OPTION', `--component ${component} has no meaning for a file`, {
        hint: 'give the directory of the package, or leave --component out',
      });
    }
    return { path: model, component: undefined, otherModels: [] };
  }
  const candidates = candidatesIn(model);
  const chosen = choose(model, candidates, component);
  const path = join(model, chosen.relativePath);
  if (!statModel(path).isFile()) {
    throw new FormatError('ERR_MODEL', `${path} is not a regular file`, { details: { path } });
  }
  const others = candidates.filter((candidate) => candidate !== chosen);
  return {
    path,
    component: others.length > 0 ? chosen.component : undefined,
    otherModels: others.map(({ relativePath }) => relativePath),
  };
}
