/** Runs programs: in the addon where it is loaded, else in WebAssembly, else in TypeScript. The bytes are the same. */

import { CancelledError, FormatError, fromSystemError, UsageError } from '../errors.ts';
import { loadNative, nativeIsa, nativeStatus } from '../native.ts';
import { wasmStatus } from '../wasm.ts';
import { combineFolds, type FoldResult } from './folds.ts';
import { runNative } from './native-executor.ts';
import { locateNonFinite, type NonFiniteHit } from './non-finite.ts';
import type { Program } from './program.ts';
import { runSerially } from './serial-executor.ts';
import { isTileFailure, type TileRun } from './tile-run.ts';
import { measuredErrors, type WeightError } from './weight-error.ts';

/**
 * How source files are read. `pread` copies into working memory. `mmap` maps the window a tile needs where that is
 * one run of bytes, and only in the addon. `auto` is `pread`: it takes as much processor time as `mmap`, within a few
 * per cent, and a file that shrinks meanwhile ends in an error, not in the death of the process.
 */
export type IoMode = 'auto' | 'mmap' | 'pread';

/** How to run a program. */
export interface RunOptions {
  /** Threads, at most those the program was laid out for, which is also the default. One without the addon. */
  readonly threads?: number;
  /** What runs the tiles; by default the first of these that there is. */
  readonly executor?: 'native' | 'wasm' | 'typescript';
  readonly io?: IoMode;
  /** What is written will be flushed: the disk may begin at once. */
  readonly flushes?: boolean;
  /** Called at most ten times a second and once at the end. */
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
  /** Stops the run before the next tile. */
  readonly signal?: AbortSignal;
}

/** What a program found and did. */
export interface ProgramResult {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Results of tie gates and comparisons by job index. Complete only when `nonFinite` is undefined. */
  readonly folds: ReadonlyMap<number, FoldResult>;
  /** What was measured, by job index. Complete only when `nonFinite` is undefined. */
  readonly errors: ReadonlyMap<number, WeightError>;
  /**
   * The element (NaN, infinity, too large) that stopped the program: the outputs are then incomplete. The same hit for any number of
   * threads, budget and executor.
   */
  readonly nonFinite: NonFiniteHit | undefined;
}

/** Of a program without jobs: where all that is written shares its blocks with the input, no thread need start. */
const NOTHING_DONE: ProgramResult = {
  bytesRead: 0,
  bytesWritten: 0,
  folds: new Map(),
  errors: new Map(),
  nonFinite: undefined,
};

/**
 * Runs every tile of a program. The files must stay open and inputs must not change meanwhile; outputs are not
 * synced. Takes the program's memory budget and nothing beyond it.
 *
 * Throws a FormatError when an input is shorter than it was, a ResourceError when a read or write fails, a
 * CancelledError when `signal` fires. What was written then is garbage.
 */
export async function runProgram(
  program: Program,
  options: RunOptions = {},
): Promise<ProgramResult> {
  const { signal, onProgress } = options;
  if (signal?.aborted) throw new CancelledError();
  const total = program.inputBytes;
  const onBytes = onProgress && ((bytes: number) => onProgress(bytes, total));
  const threads = Math.max(1, Math.min(options.threads ?? program.threads, program.threads));
  const { executor = 'native' } = options;
  const addon = executor === 'native' ? loadNative() : undefined;
  if (options.executor === 'native' && addon === undefined) {
    throw new UsageError('ERR_OPTION', `no native executor: ${nativeStatus().reason}`);
  }
  if (options.executor === 'wasm' && !wasmStatus().loaded) {
    throw new UsageError('ERR_OPTION', `no kernels for WebAssembly: ${wasmStatus().reason}`);
  }
  if (program.jobs.length === 0) {
    onProgress?.(total, total);
    return NOTHING_DONE;
  }
  let run: TileRun;
  try {
    if (addon) {
      const isa = nativeIsa(addon);
      const mapped = options.io === 'mmap';
      const flushes = options.flushes === true;
      run = await runNative(addon, program, { threads, mapped, flushes, isa, signal, onBytes });
    } else {
      const kernels = executor === 'typescript' ? executor : 'wasm';
      run = await runSerially(program, { kernels, signal, onBytes });
    }
  } catch (error) {
    throw worded(error, program);
  }
  if (run.cancelled) throw new CancelledError();
  onProgress?.(run.nonFinite ? run.bytesRead : total, total);
  const { bytesRead, bytesWritten, nonFinite } = run;
  return {
    bytesRead,
    bytesWritten,
    folds: combineFolds(program, run.folds),
    errors: measuredErrors(program, run.errors),
    nonFinite: nonFinite && locateNonFinite(program, nonFinite.tile, nonFinite.index),
  };
}

/** Puts a failure of an executor into words. */
function worded(error: unknown, program: Program): unknown {
  if (!isTileFailure(error)) return fromSystemError(error, 'starting to process tensors');
  const files = error.phase === 'read' ? program.inputs : program.outputs;
  const path = files[error.file]?.path ?? 'file';
  if (error.code === 'END_OF_FILE') {
    return new FormatError(
      'ERR_CHANGED',
      `${path}: became shorter while it was read: it ended at byte ${error.offset}`,
      { hint: 'leave the model alone while it is processed, then try again' },
    );
  }
  const verb = error.phase === 'read' ? 'reading' : 'writing';
  return fromSystemError(error, `${verb} ${path} at byte ${error.offset}`);
}
