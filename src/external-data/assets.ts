/** The other files of a model package (tokenizer, configuration, templates): which to copy along, and the copying. */

import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { formatSize, KIB, MIB } from '../bytes.ts';
import { fromSystemError, hasErrno, ResourceError } from '../errors.ts';
import { isDirectoryEntry, sortedEntries, statIfReachable } from './directory-entries.ts';
import { isBeneath, type ModelRoots } from './location.ts';
import { type Directory, type OpenBeneath, openInside, waysToOpen } from './open-beneath.ts';

/** A file that belongs to the package and is no weight. */
export interface Asset {
  /** The directory of the package that its bytes are beneath. */
  readonly root: Directory;
  /** Where its bytes are, links resolved. */
  readonly sourcePath: string;
  /** Where it belongs, relative to the model's directory, with forward slashes. */
  readonly relativePath: string;
  readonly byteLength: number;
}

/** An entry of the model's directory that is not copied. */
export interface SkippedAsset {
  readonly relativePath: string;
  readonly reason: string;
}

export interface AssetList {
  readonly assets: readonly Asset[];
  readonly skipped: readonly SkippedAsset[];
}

/** Larger files are data rather than configuration; the largest published tokenizers have about 35 MB. */
export const LARGEST_ASSET = 64 * MIB;

/**
 * What a model package does not exceed. A directory beyond either is where somebody keeps things, say a downloads
 * folder; copying it would surprise.
 */
const MOST_ASSETS = 256;
const MOST_ASSET_BYTES = 256 * MIB;

const COPY_BYTES = 256 * KIB;

const WEIGHT_NAME =
  /\.(?:onnx|ort|safetensors|bin|gguf|ggml|pt|pth|ckpt|h5|msgpack|tflite|engine|plan|data|weights?)$|\.onnx[._]data|\.(?:safetensors|bin)\.index\.json$/i;

/** True for the name of a file that holds weights (or an index of them) in any of the usual formats. */
export function isWeightName(name: string): boolean {
  return WEIGHT_NAME.test(name);
}

interface Package {
  readonly directory: string;
  readonly roots: readonly Directory[];
  readonly excluded: ReadonlySet<string>;
}

function rootOf({ roots }: Package, realPath: string): Directory | undefined {
  return roots.find((root) => isBeneath(root.path, realPath));
}

function inodeKey(path: string): string | undefined {
  const stats = statIfReachable(path);
  return stats && `${stats.dev}:${stats.ino}`;
}

/** The asset at `relativePath`, or the reason it is none. */
function classify(of: Package, relativePath: string): Asset | string {
  const path = join(of.directory, relativePath);
  if (isWeightName(relativePath)) return 'weights';
  let sourcePath: string;
  try {
    sourcePath = realpathSync.native(path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return 'a link to nothing';
    if (hasErrno(error, 'EACCES', 'EPERM')) return 'permission denied';
    throw error;
  }
  const root = rootOf(of, sourcePath);
  if (root === undefined) return 'a link out of the package';
  const stats = statSync(sourcePath);
  if (stats.isDirectory()) return 'a directory two levels down';
  if (!stats.isFile()) return 'not a regular file';
  if (stats.size > LARGEST_ASSET) {
    return `${stats.size} bytes, above the limit of ${LARGEST_ASSET}`;
  }
  return { root, sourcePath, relativePath, byteLength: stats.size };
}

/** Paths of a subdirectory's entries, or the reason it is no part of this model's package. */
function subdirectoryPaths(of: Package, name: string): string[] | string {
  const path = join(of.directory, name);
  try {
    if (rootOf(of, realpathSync.native(path)) === undefined) return 'a link out of the package';
    const entries = sortedEntries(path);
    if (entries.some((entry) => entry.name.endsWith('.onnx'))) return 'holds another model';
    return entries
      .filter((entry) => !entry.name.startsWith('.'))
      .map((entry) => `${name}/${entry.name}`);
  } catch (error) {
    if (hasErrno(error, 'EACCES', 'EPERM')) return 'permission denied';
    throw error;
  }
}

function classifyAll(of: Package): AssetList {
  const assets: Asset[] = [];
  const skipped: SkippedAsset[] = [];
  const skip = (relativePath: string, reason: string) => skipped.push({ relativePath, reason });
  const add = (relativePath: string) => {
    if (of.excluded.has(inodeKey(join(of.directory, relativePath)) ?? '')) return;
    const result = classify(of, relativePath);
    if (typeof result === 'string') skip(relativePath, result);
    else assets.push(result);
  };
  for (const entry of sortedEntries(of.directory)) {
    const { name } = entry;
    if (name.startsWith('.')) {
      skip(name, 'hidden');
    } else if (!isDirectoryEntry(of.directory, entry)) {
      add(name);
    } else {
      const paths = subdirectoryPaths(of, name);
      if (typeof paths === 'string') skip(name, paths);
      else for (const path of paths) add(path);
    }
  }
  return { assets, skipped };
}

/**
 * Lists what a user expects to find beside a model's copy: the files of the model's directory and of its
 * subdirectories one level down (`additional_chat_templates/`, `1_Pooling/`) that are no weights by name and at
 * most {@link LARGEST_ASSET} bytes. A component's package is its own directory (`decoder/`), not the parent. Links
 * are followed to regular files inside the package or, when the model itself is a link, beside the model's real
 * file (Hugging Face cache). Everything else is in `skipped` with its reason, except `inputPaths`, which the
 * caller knows.
 *
 * When there are more than 256 such files or 256 MiB, the directory is not a package: no assets, one reason.
 * Throws a `ResourceError` for what cannot be read.
 * @param inputPaths the files the model is read from, the `.onnx` among them, in any spelling
 */
export function listAssets(
  { directory, real: roots }: ModelRoots,
  inputPaths: readonly string[],
): AssetList {
  const keys = inputPaths.map(inodeKey);
  const excluded = new Set(keys.filter((key) => key !== undefined));
  let list: AssetList;
  try {
    list = classifyAll({ directory, roots, excluded });
  } catch (error) {
    throw fromSystemError(error, `listing ${directory}`);
  }
  const byteLength = list.assets.reduce((sum, asset) => sum + asset.byteLength, 0);
  if (list.assets.length > MOST_ASSETS || byteLength > MOST_ASSET_BYTES) {
    const reason = `holds ${list.assets.length} other files (${formatSize(byteLength)}): not a model package, none is copied`;
    return { assets: [], skipped: [{ relativePath: '.', reason }] };
  }
  return list;
}

function changed({ sourcePath }: Asset, cause?: unknown): ResourceError {
  return new ResourceError('ERR_CHANGED', `${sourcePath} changed while it was copied`, {
    details: { path: sourcePath },
    cause,
  });
}

/** Opens what was listed, beneath its root: a link or another file put there since is not followed. */
function openAsset(asset: Asset, ways: readonly OpenBeneath[]): number {
  const { root, sourcePath } = asset;
  try {
    return openInside(root, relative(root.path, sourcePath), ways);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV')) throw changed(asset, error);
    throw error;
  }
}

function copyAsset(asset: Asset, targetPath: string, ways: readonly OpenBeneath[]): void {
  const source = openAsset(asset, ways);
  let target: number | undefined;
  try {
    if (!fstatSync(source).isFile()) throw changed(asset);
    target = openSync(targetPath, 'wx');
    const buffer = Buffer.alloc(Math.min(COPY_BYTES, asset.byteLength));
    let copied = 0;
    while (copied < asset.byteLength) {
      const wanted = Math.min(buffer.length, asset.byteLength - copied);
      const bytesRead = readSync(source, buffer, 0, wanted, copied);
      if (bytesRead === 0) break;
      writeFileSync(target, buffer.subarray(0, bytesRead));
      copied += bytesRead;
    }
    if (copied < asset.byteLength || fstatSync(source).size !== asset.byteLength) {
      throw changed(asset);
    }
  } finally {
    if (target !== undefined) closeSync(target);
    closeSync(source);
  }
}

/**
 * Copies assets under `directory`, which must not have them yet, as new files with default permissions.
 * Throws a `ResourceError`, `ERR_CHANGED` when a file no longer has the listed size, or is no longer where it was.
 * Memory: one 256 KiB buffer.
 * @param openBeneath the native call that opens beneath a directory, tried before the one in TypeScript
 */
export function copyAssets(
  assets: readonly Asset[],
  directory: string,
  openBeneath?: OpenBeneath,
): void {
  const ways = waysToOpen(openBeneath);
  for (const asset of assets) {
    const targetPath = join(directory, asset.relativePath);
    try {
      mkdirSync(dirname(targetPath), { recursive: true });
      copyAsset(asset, targetPath, ways);
    } catch (error) {
      throw fromSystemError(error, `copying ${asset.relativePath}`);
    }
  }
}
