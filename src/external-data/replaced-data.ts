/**
 * The data files that an edit in place replaced. One of them goes only when nobody can still need it: every `.onnx`
 * that could name it was read, and none does. A graph that cannot be read may name anything. And since a model may be
 * a stranger's, its word alone does not make a file data: what is not called like data stays.
 */

import { type BigIntStats, fstatSync, realpathSync, unlinkSync } from 'node:fs';
import { basename, dirname, join, posix, relative } from 'node:path';
import type { SourceFile } from '../model/tensor-data.ts';
import { isDirectoryEntry, sortedEntries, statIfReachable } from './directory-entries.ts';
import { syncDirectory } from './disk.ts';
import { isBeneath } from './location.ts';
import { type OpenedModel, openModel } from './open-model.ts';
import type { SavePlan } from './plan.ts';
import { isSafetensorsName } from './safetensors.ts';
import { isOwnSafetensors } from './safetensors-header.ts';

/** An old data file. */
export interface ReplacedFile {
  /** As the model named it. */
  readonly location: string;
  /** Links resolved. */
  readonly path: string;
  /** Of the file that was read. */
  readonly stats: BigIntStats;
}

/** What of the old data may go, and why the rest stays, one line each. */
export interface ReplacedData {
  readonly removable: readonly ReplacedFile[];
  readonly reasons: readonly string[];
}

/** Names that exporters give to data files and to nothing else; other models and hidden files are none. */
const DATA_NAME = /^(?:.+\.)?(?:data|bin|weights?|onnx_data)(?:_\d+)?$/i;

function isNamedLikeData(location: string): boolean {
  const names = posix.normalize(location).split('/');
  return DATA_NAME.test(names.at(-1) ?? '') && names.every((name) => !name.startsWith('.'));
}

/** The `.onnx` files of `directory` but the one at `modelPath` and links to it. */
function otherModels(directory: string, modelPath: string): string[] {
  const isOther = (path: string) => {
    try {
      return realpathSync.native(path) !== modelPath;
    } catch {
      return true;
    }
  };
  return sortedEntries(directory)
    .filter((entry) => /\.onnx$/i.test(entry.name) && !isDirectoryEntry(directory, entry))
    .map((entry) => join(directory, entry.name))
    .filter(isOther);
}

function dataInodes(path: string): BigIntStats[] {
  using opened = openModel(path);
  const { files } = opened;
  return files.files
    .filter((file: SourceFile) => file !== files.model)
    .map((file) => fstatSync(file.fd, { bigint: true }));
}

/** Directories whose models can name a file: its own, and those above it up to the model's. */
function directoriesAbove(path: string, top: string): string[] {
  const directories: string[] = [];
  for (let at = dirname(path); at === top || isBeneath(top, at); at = dirname(at)) {
    directories.push(at);
  }
  return directories;
}

function isSameInode(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Looks into each other model at most once. */
class Neighbours {
  readonly #modelPath: string;
  readonly #inodes = new Map<string, BigIntStats[] | string>();

  constructor(modelPath: string) {
    this.#modelPath = modelPath;
  }

  /** Why `file` must stay, or undefined. */
  reasonToKeep({ path, stats }: ReplacedFile): string | undefined {
    const top = dirname(this.#modelPath);
    for (const directory of directoriesAbove(path, top)) {
      for (const other of otherModels(directory, this.#modelPath)) {
        const shown = relative(top, other);
        const inodes = this.#inodesOf(other);
        if (typeof inodes === 'string') return `${shown} may use it: ${inodes}`;
        if (inodes.some((inode) => isSameInode(inode, stats))) return `${shown} uses it`;
      }
    }
    return undefined;
  }

  #inodesOf(path: string): BigIntStats[] | string {
    const known = this.#inodes.get(path);
    if (known !== undefined) return known;
    let inodes: BigIntStats[] | string;
    try {
      inodes = dataInodes(path);
    } catch (error) {
      inodes = messageOf(error);
    }
    this.#inodes.set(path, inodes);
    return inodes;
  }
}

/**
 * Finds the data files of the model at `modelPath` that `plan` no longer refers to, and which of them may go. Reads
 * the graphs beside the model, no weights.
 */
export function replacedData(opened: OpenedModel, modelPath: string, plan: SavePlan): ReplacedData {
  const used = new Set<string>();
  for (const { placement } of plan.tensors) {
    if (placement.kind === 'external') used.add(placement.file);
  }
  const directory = realpathSync.native(dirname(modelPath));
  const neighbours = new Neighbours(join(directory, basename(modelPath)));
  const removable: ReplacedFile[] = [];
  const staying = new Map<string, string[]>();
  for (const [file, location] of opened.locations) {
    if (file === opened.files.model || used.has(posix.normalize(location))) continue;
    const stay = (reason: string) => {
      staying.set(reason, [...(staying.get(reason) ?? []), location]);
    };
    if (isSafetensorsName(location)) {
      if (!isOwnSafetensors(file)) {
        stay('it may be a checkpoint that others load; remove it yourself');
        continue;
      }
    } else if (!isNamedLikeData(location)) {
      stay('it is not called like a data file; remove it yourself');
      continue;
    }
    try {
      const path = realpathSync.native(join(directory, location));
      const entry = { location, path, stats: fstatSync(file.fd, { bigint: true }) };
      const reason = neighbours.reasonToKeep(entry);
      if (reason === undefined) removable.push(entry);
      else stay(reason);
    } catch (error) {
      stay(messageOf(error));
    }
  }
  const reasons = [...staying].map(([reason, [first, ...more]]) =>
    more.length === 0
      ? `the old ${first} stays: ${reason}`
      : `the old ${first} and ${more.length} more stay: ${reason}`,
  );
  return { removable, reasons };
}

/** Removes files, unless another has taken the name meanwhile; what cannot be removed comes back in `leftovers`. */
export async function removeReplacedData(files: readonly ReplacedFile[]): Promise<{
  readonly removed: readonly string[];
  readonly leftovers: readonly string[];
}> {
  const removed: string[] = [];
  const leftovers: string[] = [];
  for (const { path, location, stats } of files) {
    const now = statIfReachable(path);
    if (now === undefined || !isSameInode(now, stats)) continue;
    try {
      unlinkSync(path);
      removed.push(location);
      await syncDirectory(dirname(path));
    } catch {
      leftovers.push(path);
    }
  }
  return { removed, leftovers };
}
