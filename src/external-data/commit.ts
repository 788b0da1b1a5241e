/** The one commit point: before it the old output is whole, after it the new one is. */

import { renameSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromSystemError, hasErrno, ResourceError, UsageError } from '../errors.ts';
import { lstatIfPresent } from './directory-entries.ts';
import { listTree, syncDirectory, syncFile, type Tree } from './disk.ts';
import { checkOutput, type OutputOptions, type OutputTarget } from './output.ts';
import { type BeforeStep, type OutputFiles, placeFiles } from './placement.ts';
import {
  type CommitMode,
  createStaging,
  type RenameExchange,
  removeEmptyDirectories,
  type Staging,
} from './staging.ts';

export interface StageOptions extends OutputOptions {
  /** Native swap of two paths; without it an existing directory is replaced file by file. */
  readonly renameExchange?: RenameExchange | undefined;
  /** Flush the output before it is visible; default true. Without it a power cut may leave parts of it, or nothing. */
  readonly sync?: boolean | undefined;
  /** Called before each step that changes what others see; a test stops the process there. */
  readonly beforeStep?: BeforeStep;
}

/** What a commit did. */
export interface CommitResult {
  /** The directory that holds the model, spelled as the caller did where possible. */
  readonly directory: string;
  readonly modelPath: string;
  /** Old files that could not be removed; the new model is whole all the same. */
  readonly leftovers: readonly string[];
}

/**
 * An output in the making. Files are written into `directory`; `commit` makes them visible in one step, `abort`
 * removes them. Exactly one of the two takes effect; `abort` after either does nothing, so it belongs in `finally`.
 */
export class StagedOutput implements AsyncDisposable {
  /** Where to write: an empty directory on the output's file system. */
  readonly directory: string;
  readonly target: OutputTarget;
  readonly mode: CommitMode;
  readonly #createdParents: readonly string[];
  readonly #options: StageOptions;
  #state: 'open' | 'committed' | 'aborted' = 'open';

  /** @internal Use {@link stageOutput}. */
  constructor(target: OutputTarget, staging: Staging, options: StageOptions) {
    this.target = target;
    this.directory = staging.directory;
    this.mode = staging.mode;
    this.#createdParents = staging.createdParents;
    this.#options = options;
  }

  /** True when a data file must not have this name, because the old model may be using it until the commit. */
  isNameTaken(relativePath: string): boolean {
    if (this.mode !== 'place') return false;
    return lstatIfPresent(join(this.target.directory, relativePath)) !== undefined;
  }

  /**
   * Flushes everything staged to the disk, unless asked not to, and makes it the output.
   *
   * Throws a {@link UsageError} `ERR_OUTPUT_EXISTS` when something appeared where the output goes, and a
   * {@link ResourceError}; the old output is then whole, and `abort` is still due. Only a failure to flush the
   * parent directory comes after the new output is in place; then the old one is kept beside it.
   */
  async commit(files: OutputFiles): Promise<CommitResult> {
    if (this.#state !== 'open') throw new Error(`this output is already ${this.#state}`);
    const { target } = this;
    this.#checkStaged(files);
    if (this.#syncs) await this.#sync();
    let leftovers: string[] = [];
    try {
      if (this.mode === 'place') leftovers = await this.#place(files);
      else await this.#swap();
    } catch (error) {
      throw fromSystemError(error, `replacing ${target.path}`);
    }
    this.#state = 'committed';
    if (this.#syncs) {
      await this.#step('sync-parent');
      for (const path of [target.directory, ...[...this.#createdParents].reverse()]) {
        await syncDirectory(dirname(path));
      }
    }
    if (this.mode !== 'rename') leftovers.push(...(await this.#removeStaging()));
    const directory = target.modelFileName === undefined ? target.path : dirname(target.path);
    return { directory, modelPath: join(directory, files.model), leftovers };
  }

  /** Removes the staged files and leaves everything else as it was; idempotent, never throws. */
  async abort(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'aborted';
    try {
      rmSync(this.directory, { recursive: true, force: true });
    } catch {
      // What is left has a name that tells what it is; the next run to this output removes it.
    }
    removeEmptyDirectories(this.#createdParents);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.abort();
  }

  async #step(name: string): Promise<void> {
    await this.#options.beforeStep?.(name);
  }

  get #syncs(): boolean {
    return this.#options.sync !== false;
  }

  #stagedTree(): Tree {
    try {
      return listTree(this.directory);
    } catch (error) {
      throw fromSystemError(error, `writing to ${this.target.path}`);
    }
  }

  #checkStaged({ model, data }: OutputFiles): void {
    const { files } = this.#stagedTree();
    for (const file of [model, ...data]) {
      if (files.includes(file)) continue;
      throw new ResourceError('ERR_IO', `${file} is missing from the output; nothing was replaced`);
    }
  }

  async #sync(): Promise<void> {
    await this.#step('sync-files');
    const { directories, files } = this.#stagedTree();
    for (const file of files) await syncFile(join(this.directory, file));
    for (const path of [...directories].reverse()) await syncDirectory(join(this.directory, path));
    await syncDirectory(this.directory);
  }

  /** The staged directory becomes the output, as a whole. */
  async #swap(): Promise<void> {
    const { target } = this;
    await this.#step(this.mode);
    if (this.mode === 'exchange') {
      this.#options.renameExchange?.(this.directory, target.directory);
    } else {
      this.#rename();
    }
  }

  #rename(): void {
    const { target } = this;
    try {
      // Elsewhere a rename replaces an empty directory in one step.
      if (process.platform === 'win32' && target.state === 'empty') rmdirSync(target.directory);
      renameSync(this.directory, target.directory);
    } catch (error) {
      if (!hasErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) throw error;
      throw new UsageError('ERR_OUTPUT_EXISTS', `${target.path} appeared during the run`, {
        hint: 'run again with another output',
        details: { path: target.path },
        cause: error,
      });
    }
  }

  #place(files: OutputFiles): Promise<string[]> {
    const beforeStep = (step: string) => this.#step(step);
    const placement = { target: this.target, staging: this.directory, syncs: this.#syncs };
    return placeFiles({ ...placement, beforeStep }, files);
  }

  /** After the commit: the old directory of an exchange, or the emptied one. */
  async #removeStaging(): Promise<string[]> {
    await this.#step('remove-staging');
    try {
      rmSync(this.directory, { recursive: true, force: true });
      return [];
    } catch {
      return [this.directory];
    }
  }
}

/**
 * Checks `-o` and opens a staging directory for it: a sibling of the output where that can be renamed or swapped,
 * else inside it. Only directories are made; nothing shows under the output's name until `commit`.
 *
 * @param output a directory, or a path ending in `.onnx` that names the model file
 * Throws the errors of `checkOutput`, and a {@link ResourceError} when the place cannot be written to.
 */
export async function stageOutput(
  output: string,
  options: StageOptions = {},
): Promise<StagedOutput> {
  const target = checkOutput(output, options);
  const staging = createStaging(target, options.renameExchange);
  return new StagedOutput(target, staging, options);
}
