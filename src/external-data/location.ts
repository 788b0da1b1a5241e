/**
 * Containment: opens the file that an external data `location` names and nothing else. A model is a stranger's
 * file, so its locations must stay in the model's directory, through every symbolic link and while someone swaps
 * files.
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
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { FormatError, fromSystemError, hasErrno } from '../errors.ts';
import { quoted } from './reference.ts';

/**
 * Opens `path`, relative to and resolved beneath the open directory `directoryFd`, for reading and without
 * following a link out of it (`openat2` with `RESOLVE_BENEATH`). Undefined where the system lacks the call;
 * otherwise throws an error with an errno `code`.
 */
export type OpenBeneath = (directoryFd: number, path: string) => number | undefined;

/**
 * Where the files of a model may lie. `real` holds one or two directories without symbolic links: the model's own,
 * and that of the file the model path links to. The second admits a Hugging Face cache, where a snapshot is made
 * of links into one `blobs` directory; ONNX Runtime accepts the same two.
 */
export interface ModelRoots {
  /** The model's directory as the caller spelled it: locations are relative to it, messages show it. */
  readonly directory: string;
  readonly real: readonly string[];
}

/** A file opened for reading, with the facts its identity and later checks rest on. */
export interface OpenedFile {
  readonly fd: number;
  /** The model's directory as the caller spelled it, and the location: for messages. */
  readonly path: string;
  /** Absolute, without symbolic links. */
  readonly realPath: string;
  readonly stats: BigIntStats;
}

/** PATH_MAX and NAME_MAX of Linux; longer ones cannot be opened there. */
const LONGEST_PATH = 4095;
const LONGEST_NAME = 255;

/** Reading only; a FIFO must not block the open and a last-moment link must not be followed. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);

/** The directories that hold the files of the model at `modelPath`, which must exist. */
export function modelRoots(modelPath: string): ModelRoots {
  const directory = dirname(modelPath);
  const own = realpathSync.native(directory);
  const linked = dirname(realpathSync.native(modelPath));
  return { directory, real: own === linked ? [own] : [own, linked] };
}

/** True when `path` is strictly below `directory`; both absolute and free of symbolic links. */
export function isBeneath(directory: string, path: string): boolean {
  const rest = relative(directory, path);
  return rest !== '' && rest !== '..' && !rest.startsWith(`..${sep}`) && !isAbsolute(rest);
}

type Refuse = (problem: string, code: 'ERR_PATH_ESCAPE' | 'ERR_EXTERNAL_DATA') => FormatError;

function refusal(location: string, tensorName: string): Refuse {
  return (problem, code) =>
    new FormatError(
      code,
      `tensor ${quoted(tensorName)}: external data location ${quoted(location)} ${problem}`,
      { details: { tensor: tensorName, location } },
    );
}

/**
 * Checks the text of a location: a relative POSIX path that does not climb out. `sub/../x` is fine. Pure.
 * Throws a {@link FormatError}: `ERR_PATH_ESCAPE`, or `ERR_EXTERNAL_DATA` for text that is no path.
 */
export function checkLocation(location: string, tensorName: string): void {
  const refuse = refusal(location, tensorName);
  if (location === '') throw refuse('is empty', 'ERR_EXTERNAL_DATA');
  if (location.includes('\0')) throw refuse('contains a NUL character', 'ERR_EXTERNAL_DATA');
  if (location.startsWith('/')) throw refuse('is an absolute path', 'ERR_PATH_ESCAPE');
  if (location.includes('\\')) throw refuse('contains a backslash', 'ERR_PATH_ESCAPE');
  // Elsewhere a colon is an ordinary character: some exporters name data files after tensors such as onnx::MatMul_12.
  const driveLike = process.platform === 'win32' ? /:/ : /^[A-Za-z]:(?:\/|$)/;
  if (driveLike.test(location)) throw refuse('names a drive', 'ERR_PATH_ESCAPE');

  const names = location.split('/');
  const isTooLong =
    Buffer.byteLength(location) > LONGEST_PATH ||
    names.some((name) => Buffer.byteLength(name) > LONGEST_NAME);
  if (isTooLong) throw refuse('is too long for a path', 'ERR_EXTERNAL_DATA');

  let depth = 0;
  for (const name of names) {
    if (name === '..') depth--;
    else if (name !== '' && name !== '.') depth++;
    if (depth < 0) throw refuse('leads outside the model directory', 'ERR_PATH_ESCAPE');
  }
  const last = names.at(-1);
  if (last === '' || last === '.' || last === '..') {
    throw refuse('names a directory', 'ERR_EXTERNAL_DATA');
  }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  if (stats.isCharacterDevice() || stats.isBlockDevice()) return 'a device';
  return 'of an unknown kind';
}

/** True when two stats describe one inode. */
export function isSameInode(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Opens `realPath` under `root` by directory handle, or `undefined` where the system cannot. */
function tryOpenBeneath(
  openBeneath: OpenBeneath,
  root: string,
  realPath: string,
): number | undefined {
  const directoryFd = openSync(root, constants.O_RDONLY | (constants.O_DIRECTORY ?? 0));
  try {
    return openBeneath(directoryFd, relative(root, realPath));
  } catch (error) {
    // Some containers forbid the call itself; the plain open below finds out what is really forbidden.
    if (hasErrno(error, 'ENOSYS', 'EPERM')) return undefined;
    throw error;
  } finally {
    closeSync(directoryFd);
  }
}

/**
 * Opens `location` for reading, contained in the model's directories. The path is resolved as the system would
 * resolve it, compared component by component, then the result, which has no links left, is opened beneath its
 * root. Without `openBeneath` the opened inode must still be the one the resolved path names afterwards.
 *
 * The descriptor is the caller's to close. Throws a {@link FormatError}: `ERR_PATH_ESCAPE`, `ERR_NOT_FOUND`, or
 * `ERR_EXTERNAL_DATA` for what is no regular file; a `ResourceError` for what the system refuses.
 */
export function openLocation(
  roots: ModelRoots,
  location: string,
  tensorName: string,
  openBeneath?: OpenBeneath,
): OpenedFile {
  checkLocation(location, tensorName);
  const refuse = refusal(location, tensorName);
  const path = join(roots.directory, location);
  let fd: number | undefined;
  try {
    // Not `path`: join() would fold `link/../x` by text, where the system and other loaders follow the link.
    const realPath = realpathSync.native(`${roots.directory}/${location}`);
    const root = roots.real.find((directory) => isBeneath(directory, realPath));
    if (root === undefined) {
      throw new FormatError(
        'ERR_PATH_ESCAPE',
        `tensor ${quoted(tensorName)}: external data location ${quoted(location)} is a link out of the model directory`,
        {
          hint: 'copy the file it points to beside the model',
          details: { tensor: tensorName, location, target: realPath },
        },
      );
    }
    // Looked at before opening too: opening some devices has effects.
    const before = statSync(realPath, { bigint: true });
    if (!before.isFile()) {
      throw refuse(`is ${kindOf(before)}, not a regular file`, 'ERR_EXTERNAL_DATA');
    }
    if (openBeneath !== undefined) fd = tryOpenBeneath(openBeneath, root, realPath);
    const isBeneathChecked = fd !== undefined;
    fd ??= openSync(realPath, OPEN_FLAGS);
    const stats = fstatSync(fd, { bigint: true });
    if (!stats.isFile()) {
      throw refuse(`is ${kindOf(stats)}, not a regular file`, 'ERR_EXTERNAL_DATA');
    }
    if (!isBeneathChecked) {
      const isUnmoved =
        realpathSync.native(realPath) === realPath &&
        isSameInode(lstatSync(realPath, { bigint: true }), stats);
      if (!isUnmoved) throw refuse('was replaced while it was opened', 'ERR_PATH_ESCAPE');
    }
    return { fd, path, realPath, stats };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) {
      throw new FormatError(
        'ERR_NOT_FOUND',
        `tensor ${quoted(tensorName)}: external data file ${quoted(location)} is not in ${roots.directory}`,
        {
          hint: 'put the data file beside the .onnx file; its name must stay as the model has it',
          details: { tensor: tensorName, location },
          cause: error,
        },
      );
    }
    if (hasErrno(error, 'ELOOP', 'EXDEV')) {
      throw refuse('does not resolve inside the model directory', 'ERR_PATH_ESCAPE');
    }
    throw fromSystemError(error, `opening ${path} for tensor ${quoted(tensorName)}`);
  }
}
