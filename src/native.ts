/**
 * Finds and loads the native addon; its only importer. Nothing is loaded before the first call, and everything
 * works without the addon, slower (wasm.ts).
 *
 * `LATHE_NATIVE=off` leaves it alone, `LATHE_NATIVE=on` fails where it cannot be loaded. `LATHE_ISA` names the
 * instruction set of its kernels (`plain`, `avx2`, `avx512`); otherwise the best one this processor runs is taken.
 * `wasm` and `typescript` are kernels of others, and leave it alone, too.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ResourceError, UsageError } from './errors.ts';
import { packageRoot } from './package-root.ts';

/** What the addon is and can do. */
export interface NativeInfo {
  /** Version of the border; see native/addon.cc. */
  readonly border: number;
  /** Instruction set chosen when none is named. */
  readonly isa: string;
  /** Instruction sets this processor and build support. */
  readonly supported: readonly string[];
}

/** A program in the form the addon takes: see TileList for series, starts and tiles, encodeJobs for `jobs`. */
export interface NativeProgram {
  readonly jobs: Float64Array;
  readonly series: Float64Array;
  readonly starts: Uint32Array;
  readonly tiles: Uint32Array;
  /** Descriptors to read from and to write to. */
  readonly inputs: Int32Array;
  readonly outputs: Int32Array;
  /** Bytes of the ring. */
  readonly ringBytes: number;
  /** Bytes of working memory per thread. */
  readonly scratchBytes: number;
  readonly threads: number;
  /** Read contiguous inputs through mapped windows instead of pread. */
  readonly mapped: boolean;
  /** Hand what is written to the disk at once: it will be flushed. */
  readonly flushes: boolean;
  readonly isa: string;
}

/** QuantizeParameters of src/kernels/kernel.ts, which lies above this file. */
export interface NativeQuantizeParameters {
  readonly method: string;
  readonly type: number;
  readonly bits: number;
  readonly blockSize: number;
  readonly symmetric: boolean;
  readonly layout: string;
  readonly n: number;
  readonly k: number;
}

/** What the elements of a matrix are: floats by their ONNX data type, or packed codes. */
export type NativeElements =
  | { readonly kind: 'float'; readonly type: number }
  | { readonly kind: 'code'; readonly bits: number; readonly isSigned: boolean };

/** Numbers of a matrix in memory: that of channel c and element i lies at c * channelPitch + i * pitch. */
export interface NativeNumbers {
  readonly numbers: Float32Array | Int8Array | Uint8Array;
  readonly channelPitch: number;
  readonly pitch: number;
}

/** A part of a weight: floats, or codes with what decodes them. */
export interface NativeOperand {
  readonly values: NativeNumbers;
  readonly blocks?: {
    readonly blockSize: number;
    /** How many elements of its first block lie before it. */
    readonly offset: number;
    readonly scales: NativeNumbers;
    readonly zeroPoints?: NativeNumbers | undefined;
    /** That of every block without zeroPoints. */
    readonly zeroPoint: number;
  };
}

/** Two operands to compare, and where they lie in their weights: see TilePlace of src/kernels/measure-weight.ts. */
export interface NativeBand {
  readonly isa: string;
  readonly exact: NativeOperand;
  readonly found: NativeOperand;
  readonly channels: number;
  readonly elements: number;
  /** A power of two from 16 to 256. */
  readonly blockSize: number;
  readonly first: number;
  readonly channelStride: number;
}

/** A run in progress: an opaque handle for `progress` and `cancel`. */
export type NativeRun = { readonly __run: unique symbol };

/** A model to scan, in memory or in a file, and what to know of it; see src/proto/skeleton.ts and walk.ts. */
export interface NativeScan {
  readonly bytes?: Uint8Array | undefined;
  readonly fd?: number | undefined;
  readonly byteLength: number;
  readonly layout: Uint8Array;
  readonly wholeBelow: Uint16Array;
  /** In the order of ScanRules in native/skeleton.h. */
  readonly limits: Float64Array;
  readonly nonce: Uint8Array;
}

/** A skeleton; of each payload its offset, its length, and the number of its field. */
export interface NativeSkeleton {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly payloads: Float64Array;
}

/** A graph to index and the tables to add to; see src/proto/graph-index.ts, headers.ts and name-table.ts. */
export interface NativeGraph {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Field numbers of its lists. */
  readonly fields: Int32Array;
  readonly tape: Int32Array<ArrayBuffer>;
  readonly tapeLength: number;
  readonly names: Int32Array<ArrayBuffer>;
  readonly nameCount: number;
  readonly slots: Int32Array<ArrayBuffer>;
  readonly hashBasis: number;
  /** How tokens of this process begin. */
  readonly tokenPrefix: Uint8Array;
}

/** The tables with what was added (the arrays that were given, where there was room), and where it is. */
export interface NativeGraphIndex {
  readonly tape: Int32Array<ArrayBuffer>;
  readonly tapeLength: number;
  readonly names: Int32Array<ArrayBuffer>;
  readonly nameCount: number;
  readonly slots: Int32Array<ArrayBuffer>;
  readonly at: number;
  readonly counts: Int32Array;
  readonly others: Int32Array;
}

/** What a run left behind. Folds: four numbers per tile, see native/jobs.h. */
export interface NativeRunResult {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly folds: Float64Array;
  /** kErrorFields numbers per job, see native/kernels/kernels.h; empty when nothing was measured. */
  readonly errors: Float64Array;
  readonly cancelled: boolean;
  readonly nonFinite?: { readonly tile: number; readonly index: number };
}

/**
 * The functions of native/addon.cc. They throw (or reject with) an Error whose `code` is the name of the errno,
 * for example `ENOSPC`, and whose `errno` is its number; a failed read or write of a program adds `tile`, `phase`
 * (`read` or `write`), `file` (entry of inputs or outputs) and `offset`. `END_OF_FILE` means a read beyond the end.
 */
export interface NativeAddon {
  info(): NativeInfo;
  /**
   * Opens `path` below the open directory `directoryFd` for reading, never leaving it (openat2). The descriptor is
   * non-blocking and may be anything: check for a regular file. Undefined where the kernel lacks the call.
   */
  openBeneath(directoryFd: number, path: string): number | undefined;
  /** Reserves disk blocks for a range and extends the file over it; only extends where reserving is impossible. */
  preallocate(fd: number, byteOffset: number, byteLength: number): void;
  /** Swaps two paths in one step. `EINVAL` or `ENOSYS` where the file system cannot. */
  renameExchange(a: string, b: string): void;
  /** Shares the blocks of a range with another file. `EOPNOTSUPP`, `EXDEV` or `EINVAL` where that is impossible. */
  reflinkRange(
    sourceFd: number,
    sourceOffset: number,
    byteLength: number,
    targetFd: number,
    targetOffset: number,
  ): void;
  /** Fills memory with random bytes of the system. */
  randomFill(bytes: Uint8Array): void;
  /** Leaves the payloads of a model out. Undefined for one that is damaged, odd, too large, or cannot be read. */
  scanModel(scan: NativeScan): NativeSkeleton | undefined;
  /** Indexes one graph or function. Undefined for bytes that are damaged or odd: nothing has changed then. */
  indexGraph(graph: NativeGraph): NativeGraphIndex | undefined;
  /** Describes tensors, as many as `rows` has room for, from the place at `at` on; see src/proto/tensor-headers.ts. */
  describeTensors(bytes: Uint8Array, tape: Int32Array, at: number, rows: Float64Array): void;
  /** Starts a program on its own threads. */
  runProgram(program: NativeProgram): {
    readonly handle: NativeRun;
    readonly finished: Promise<NativeRunResult>;
  };
  /** Bytes read so far. */
  progress(run: NativeRun): number;
  /** Makes every thread stop before its next tile; the promise then resolves with `cancelled`. */
  cancel(run: NativeRun): void;
  /**
   * Quantizes one whole tensor in memory on this thread with the kernels of `isa`: for tests. Columns are one strip.
   * Gives the index, in source order, of the first non-finite element, or -1.
   */
  quantizeBuffer(
    isa: string,
    parameters: NativeQuantizeParameters,
    source: Uint8Array,
    codes: Uint8Array,
    scales: Uint8Array,
    zeroPoints: Uint8Array,
  ): number;
  /** Measures what quantizeBuffer made, or anything like it, into kErrorFields numbers: for tests. */
  measureBuffer(
    isa: string,
    parameters: NativeQuantizeParameters,
    source: Uint8Array,
    codes: Uint8Array,
    scales: Uint8Array,
    zeroPoints: Uint8Array,
    errors: Float64Array,
  ): void;
  /**
   * Packed elements as numbers: floats as binary32, codes in Int8Array where they are signed. `skipped` elements (of
   * codes) come before those wanted in `bytes`.
   */
  unpackNumbers(
    isa: string,
    format: NativeElements,
    bytes: Uint8Array,
    skipped: number,
    to: NativeNumbers['numbers'],
  ): void;
  /** Measures a band on this thread; gives kErrorFields numbers. */
  measureBand(band: NativeBand): Float64Array;
}

/** What `doctor` tells about the addon. */
export interface NativeStatus {
  readonly loaded: boolean;
  readonly path?: string;
  /** Why it is not loaded. */
  readonly reason?: string;
  /** Instruction set in use. */
  readonly isa?: string;
}

interface Loaded {
  readonly addon?: NativeAddon;
  readonly status: NativeStatus;
}

// kBorderVersion in native/addon.cc.
const BORDER_VERSION = 7;

/** What LATHE_ISA can name: instruction sets of the addon, and kernels in its place. */
const INSTRUCTION_SETS = ['plain', 'avx2', 'avx512'];
const OTHER_KERNELS = ['wasm', 'typescript'];

let loaded: Loaded | undefined;

/** True on systems whose C library is musl: their addons differ from those for glibc. */
function usesMusl(): boolean {
  if (process.platform !== 'linux') return false;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}

/** Places where the addon may be: shipped with the package, else built in this checkout. */
function candidates(): string[] {
  const root = packageRoot();
  const prebuilds = join(root, 'prebuilds');
  const paths = [join(root, 'native', 'build', 'Release', 'lathe.node')];
  if (existsSync(prebuilds)) {
    const suffix = usesMusl() ? '-musl' : '';
    paths.unshift(join(prebuilds, `${process.platform}-${process.arch}${suffix}.node`));
  }
  return paths.filter((path) => existsSync(path));
}

function isAddon(value: unknown): value is NativeAddon {
  return typeof value === 'object' && value !== null && 'info' in value && 'runProgram' in value;
}

/** The first candidate that loads and speaks this version of the border, or why there is none. */
function load(): Loaded {
  const wish = process.env['LATHE_NATIVE'] ?? '';
  if (!['', 'on', 'off'].includes(wish)) {
    throw new UsageError('ERR_OPTION', `LATHE_NATIVE is "${wish}"`, { hint: 'use on or off' });
  }
  const isa = process.env['LATHE_ISA'] ?? '';
  if (isa !== '' && ![...INSTRUCTION_SETS, ...OTHER_KERNELS].includes(isa)) {
    throw new UsageError('ERR_OPTION', `LATHE_ISA is "${isa}"`, {
      hint: `use one of ${[...INSTRUCTION_SETS, ...OTHER_KERNELS].join(', ')}`,
    });
  }
  if (wish === 'off') return { status: { loaded: false, reason: 'LATHE_NATIVE=off' } };
  if (wish === '' && OTHER_KERNELS.includes(isa)) {
    return { status: { loaded: false, reason: `LATHE_ISA=${isa}` } };
  }
  let reason = 'not built: run npm run build:native';
  for (const path of candidates()) {
    try {
      // What `require` does with it in the end; making one takes longer than loading the addon.
      const module: { exports: unknown } = { exports: {} };
      process.dlopen(module, path);
      const addon = module.exports;
      if (!isAddon(addon) || addon.info().border !== BORDER_VERSION) {
        reason = `${path} was built from other sources: run npm run build:native`;
        continue;
      }
      return { addon, status: { loaded: true, path, isa: chosenIsa(addon.info()) } };
    } catch (error) {
      if (error instanceof UsageError) throw error;
      reason = `${path}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  if (wish === 'on') {
    throw new ResourceError('ERR_NOT_FOUND', `LATHE_NATIVE=on, but the addon cannot be loaded`, {
      hint: reason,
    });
  }
  return { status: { loaded: false, reason } };
}

function chosenIsa(info: NativeInfo): string {
  const wish = process.env['LATHE_ISA'];
  if (wish === undefined || wish === '') return info.isa;
  if (info.supported.includes(wish)) return wish;
  throw new UsageError('ERR_OPTION', `LATHE_ISA is "${wish}", which this processor does not run`, {
    hint: `use one of ${info.supported.join(', ')}`,
  });
}

/**
 * The addon, or undefined where it is switched off, not built or does not load (see {@link nativeStatus}). Throws a
 * UsageError for an unknown `LATHE_NATIVE` or `LATHE_ISA`, a ResourceError when `LATHE_NATIVE=on` cannot be had.
 */
export function loadNative(): NativeAddon | undefined {
  loaded ??= load();
  return loaded.addon;
}

/** The instruction set its kernels are to use: that of `LATHE_ISA`, else the fastest. */
export function nativeIsa(addon: NativeAddon): string {
  return loaded?.status.isa ?? addon.info().isa;
}

/** Whether the addon is in use, from where, with which instruction set, and why not. Same errors as loadNative. */
export function nativeStatus(): NativeStatus {
  loaded ??= load();
  return loaded.status;
}
