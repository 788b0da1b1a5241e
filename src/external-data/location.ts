/**
 * Containment: opens the file that an external data `location` names and nothing else. A model is a stranger's
 * file, so its locations must stay in the model's directory, through every symbolic link and while someone swaps
 * files.
 */

import { type BigIntStats, closeSync, fstatSync, lstatSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, posix, relative, sep } from 'node:path';
import { FormatError, fromSystemError, hasErrno } from '../errors.ts';
import { type Directory, type OpenBeneath, openInside, walkBeneath } from './open-beneath.ts';
import { quoted } from './reference.ts';

/**
 * Where the files of a model may lie. `real` holds one or two directories: the model's own, and that of the file the
 * model path links to. The second admits a Hugging Face cache, where a snapshot is made of links into one `blobs`
 * directory; ONNX Runtime accepts the same two.
 */
export interface ModelRoots {
  /** The model's directory as the caller spelled it: locations are relative to it, messages show it. */
  readonly directory: string;
  readonly real: readonly Directory[];
  /** The `.onnx` itself, links resolved; in the last of `real`. */
  readonly realModelPath: string;
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

/** Names that are devices on Windows, in any directory and with any extension. */
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:[ .:]|$)/i;

/** What ONNX Runtime writes as the location of a tensor in its memory; `offset` is then the address. */
const MEMORY_MARK = /^\*\/_ORT_(?:\w+_)?MEM_ADDR_\/\*$/;

/** The directories that hold the files of the model at `modelPath`, which must exist. */
export function modelRoots(modelPath: string): ModelRoots {
  const directory = dirname(modelPath);
  const own = realpathSync.native(directory);
  const realModelPath = realpathSync.native(modelPath);
  const linked = dirname(realModelPath);
  const paths = own === linked ? [own] : [own, linked];
  const real = paths.map((path) => ({ path, stats: lstatSync(path, { bigint: true }) }));
  return { directory, real, realModelPath };
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
  if (/\p{Surrogate}/u.test(location)) throw refuse('is not UTF-8', 'ERR_EXTERNAL_DATA');
  if (MEMORY_MARK.test(location)) throw refuse('is an address in memory', 'ERR_PATH_ESCAPE');
  if (location.startsWith('/')) throw refuse('is an absolute path', 'ERR_PATH_ESCAPE');
  if (location.includes('\\')) throw refuse('contains a backslash', 'ERR_PATH_ESCAPE');
  // Elsewhere a colon is an ordinary character: some exporters name data files after tensors such as onnx::MatMul_12.
  const driveLike = process.platform === 'win32' ? /:/ : /^[A-Za-z]:(?:\/|$)/;
  if (driveLike.test(location)) throw refuse('names a drive', 'ERR_PATH_ESCAPE');

  const names = location.split('/');
  if (names.some((name) => WINDOWS_DEVICE.test(name))) {
    throw refuse('names a device of Windows', 'ERR_PATH_ESCAPE');
  }
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

/**
 * True for a location with two dots in a row, in a name or as a name. onnx's Python takes any for an attempt to leave
 * the directory; ONNX Runtime reads `a..b.bin`. Pure.
 */
export function hasTwoDots(location: string): boolean {
  return posix.normalize(location).includes('..');
}

/** `location` as every reader takes it: `a_b.bin` for `a..b.bin`. Pure. */
export function withoutTwoDots(location: string): string {
  return posix.normalize(location).replaceAll(/\.{2,}/g, '_');
}

function kindOf(stats: BigIntStats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  if (stats.isCharacterDevice() || stats.isBlockDevice()) return 'a device';
  return 'of an unknown kind';
}

function requireFile(stats: BigIntStats, refuse: Refuse): void {
  if (stats.isFile()) return;
  throw refuse(`is ${kindOf(stats)}, not a regular file`, 'ERR_EXTERNAL_DATA');
}

/** Where a location leads, links followed as the system follows them, and the directory it is in. */
function resolveLocation(
  roots: ModelRoots,
  location: string,
  tensorName: string,
): { readonly root: Directory; readonly realPath: string } {
  let realPath: string;
  try {
    // Not join(): it would fold `link/../x` by text, where the system and other loaders follow the link.
    realPath = realpathSync.native(`${roots.directory}/${location}`);
  } catch (error) {
    if (hasErrno(error, 'ELOOP')) {
      throw refusal(location, tensorName)('is a link that leads to itself', 'ERR_PATH_ESCAPE');
    }
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
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
  const root = roots.real.find((directory) => isBeneath(directory.path, realPath));
  if (root !== undefined) return { root, realPath };
  throw new FormatError(
    'ERR_PATH_ESCAPE',
    `tensor ${quoted(tensorName)}: external data location ${quoted(location)} is a link out of the model directory`,
    {
      hint: 'copy the file it points to beside the model',
      details: { tensor: tensorName, location, target: realPath },
    },
  );
}

/**
 * Opens `location` for reading, contained in the model's directories. The path is resolved as the system would
 * resolve it, compared component by component, then the result, which has no links left, is opened beneath its
 * root.
 *
 * The descriptor is the caller's to close. Throws a {@link FormatError}: `ERR_PATH_ESCAPE`, `ERR_NOT_FOUND`, or
 * `ERR_EXTERNAL_DATA` for what is no regular file; a `ResourceError` for what the system refuses.
 * @param ways how to open beneath a directory; where none works the opened inode is compared with the path instead
 */
export function openLocation(
  roots: ModelRoots,
  location: string,
  tensorName: string,
  ways: readonly OpenBeneath[] = [walkBeneath],
): OpenedFile {
  checkLocation(location, tensorName);
  const refuse = refusal(location, tensorName);
  const path = join(roots.directory, location);
  let fd: number | undefined;
  try {
    const { root, realPath } = resolveLocation(roots, location, tensorName);
    // Looked at before opening too: opening some devices has effects.
    requireFile(statSync(realPath, { bigint: true }), refuse);
    fd = openInside(root, relative(root.path, realPath), ways);
    const stats = fstatSync(fd, { bigint: true });
    requireFile(stats, refuse);
    return { fd, path, realPath, stats };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV')) {
      throw refuse('was replaced while it was opened', 'ERR_PATH_ESCAPE');
    }
    throw fromSystemError(error, `opening ${path} for tensor ${quoted(tensorName)}`);
  }
}
