/** The files a model is read from: each opened once, kept open, and checked for change before a commit. */

import type { BigIntStats } from 'node:fs';
import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { basename } from 'node:path';
import { FormatError, fromSystemError, hasErrno, ResourceError } from '../errors.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { type ModelRoots, modelRoots, openLocation } from './location.ts';
import { isSameInode, type OpenBeneath, waysToOpen } from './open-beneath.ts';
import { quoted } from './reference.ts';

interface Entry {
  readonly file: SourceFile;
  readonly realPath: string;
  readonly stats: BigIntStats;
}

function inodeKey(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`;
}

function statOpen(file: SourceFile): BigIntStats {
  try {
    return fstatSync(file.fd, { bigint: true });
  } catch (error) {
    throw fromSystemError(error, `checking ${file.path}`);
  }
}

/**
 * Opens the `.onnx` itself, links followed, since the caller chose the path, and says where its files may lie: a
 * model swapped for a link meanwhile must not choose another directory for them.
 */
function openModel(modelPath: string): { readonly entry: Entry; readonly roots: ModelRoots } {
  let fd: number | undefined;
  try {
    fd = openSync(modelPath, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stats = fstatSync(fd, { bigint: true });
    if (!stats.isFile()) {
      throw new FormatError('ERR_MODEL', `${modelPath} is not a regular file`);
    }
    const roots = modelRoots(modelPath);
    if (!isSameInode(lstatSync(roots.realModelPath, { bigint: true }), stats)) {
      throw new ResourceError('ERR_CHANGED', `${modelPath} was replaced while it was opened`);
    }
    const file = { fd, path: modelPath, byteLength: Number(stats.size) };
    return { entry: { file, realPath: roots.realModelPath, stats }, roots };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) {
      throw new FormatError('ERR_NOT_FOUND', `${modelPath} does not exist`, { cause: error });
    }
    throw fromSystemError(error, `opening ${modelPath}`);
  }
}

/**
 * The `.onnx` and the data files its tensors name, each opened for reading once. Locations that lead to one inode
 * (a second spelling, a link, a hard link) give the same {@link SourceFile} object. Holds a descriptor per file
 * until `close`; no bytes.
 */
export class OpenedFiles implements Disposable {
  /** The `.onnx` file. */
  readonly model: SourceFile;
  /** Directories the model's files may lie in. */
  readonly roots: ModelRoots;
  readonly #entries = new Map<string, Entry>();
  readonly #byLocation = new Map<string, SourceFile>();
  readonly #paths: Set<string>;
  readonly #ways: readonly OpenBeneath[];
  #isClosed = false;

  private constructor(model: Entry, roots: ModelRoots, ways: readonly OpenBeneath[]) {
    this.model = model.file;
    this.roots = roots;
    this.#entries.set(inodeKey(model.stats), model);
    this.#paths = new Set([model.file.path, model.realPath]);
    this.#ways = ways;
  }

  /**
   * Opens the `.onnx` at `modelPath`. Data files are opened on demand by {@link OpenedFiles.data}.
   * Throws a {@link FormatError} (`ERR_NOT_FOUND`, `ERR_MODEL`) or a {@link ResourceError}.
   * @param openBeneath the native call that opens beneath a directory, tried before the one in TypeScript
   */
  static open(modelPath: string, openBeneath?: OpenBeneath): OpenedFiles {
    const { entry, roots } = openModel(modelPath);
    return new OpenedFiles(entry, roots, waysToOpen(openBeneath));
  }

  /**
   * The data file that `location` names, opened at first use; errors of `openLocation`.
   * @param tensorName the tensor that refers to it, for messages
   */
  data(location: string, tensorName: string): SourceFile {
    const known = this.#byLocation.get(location);
    if (known !== undefined) return known;
    const opened = openLocation(this.roots, location, tensorName, this.#ways);
    const { fd, path, realPath, stats } = opened;
    const key = inodeKey(stats);
    const entry = this.#entries.get(key) ?? {
      file: { fd, path, byteLength: Number(stats.size) },
      realPath,
      stats,
    };
    if (entry.file.fd !== fd) closeSync(fd);
    this.#entries.set(key, entry);
    this.#byLocation.set(location, entry.file);
    this.#paths.add(path).add(realPath);
    return entry.file;
  }

  /** Every open file: the `.onnx` first, then data files in order of first use. */
  get files(): readonly SourceFile[] {
    return [...this.#entries.values()].map((entry) => entry.file);
  }

  /**
   * Every path under which the input is known, as given and with links resolved: what an output must not replace
   * and what is no asset.
   */
  get inputPaths(): readonly string[] {
    return [...this.#paths];
  }

  /**
   * Throws a {@link ResourceError} `ERR_CHANGED` when a file was written to or resized since it was opened: what
   * was read from it may then be neither the old nor the new model. A file *replaced* under its name is no
   * concern, since the descriptor still reads the old one.
   */
  verifyUnchanged(): void {
    for (const { file, stats } of this.#entries.values()) {
      const now = statOpen(file);
      if (now.size === stats.size && now.mtimeNs === stats.mtimeNs) continue;
      const what =
        now.size === stats.size
          ? 'its modification time differs'
          : `it had ${stats.size} bytes, now ${now.size}`;
      throw new ResourceError('ERR_CHANGED', `${file.path} changed while it was read: ${what}`, {
        hint: 'run again when nothing else writes to the model',
        details: { path: file.path, byteLength: Number(now.size) },
      });
    }
  }

  /** Closes every descriptor; idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { file } of this.#entries.values()) closeSync(file.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Checks that `byteLength` bytes from `byteOffset` lie within `file`; nothing is at hand beyond its end, whatever
 * a model declares. Throws a {@link FormatError} `ERR_EXTERNAL_BOUNDS`. Pure.
 */
export function checkRange(
  file: SourceFile,
  byteOffset: number,
  byteLength: number,
  tensorName: string,
): void {
  const isRange =
    Number.isSafeInteger(byteOffset) &&
    Number.isSafeInteger(byteLength) &&
    byteOffset >= 0 &&
    byteLength >= 0;
  if (isRange && byteLength <= file.byteLength - byteOffset) return;
  const extent = isRange
    ? `ends at ${BigInt(byteOffset) + BigInt(byteLength)}`
    : `has offset ${byteOffset} and length ${byteLength}`;
  throw new FormatError(
    'ERR_EXTERNAL_BOUNDS',
    `${file.path}: tensor ${quoted(tensorName)} ${extent}, file has ${file.byteLength} bytes`,
    {
      hint: `compare ${basename(file.path)} with its source: it may be cut short or belong to another model`,
      details: { tensor: tensorName, byteOffset, byteLength, fileByteLength: file.byteLength },
    },
  );
}
