/**
 * A program: everything one run of the executor does, laid out before it starts. Jobs say which kernel with which
 * parameters; tiles say which bytes go through it. Both executors (native threads, TypeScript) run the same tiles
 * and give the same bytes. Pure data; made by ProgramBuilder.
 */

import type {
  CastParameters,
  FloatTypeCode,
  QuantizeParameters,
  RelayoutParameters,
} from '../kernels/kernel.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import type { TileList } from './tile-list.ts';

/** Byte-for-byte copy: between files, or between a file and the ring. */
export interface CopyJob {
  readonly kernel: 'copy';
}

/** Quantize rows or columns of a 2-D weight. */
export interface QuantizeJob {
  readonly kernel: 'quantize';
  readonly parameters: QuantizeParameters;
  /** Sum up how far the codes are from the weight. */
  readonly measured: boolean;
}

/** Fold: is a quantized table the encoding of a float one? `columns` when the float table is stored [K, N]. */
export interface TieGateJob {
  readonly kernel: 'tie-gate';
  readonly type: FloatTypeCode;
  readonly scaleType: FloatTypeCode;
  readonly bits: QuantizeParameters['bits'];
  readonly blockSize: QuantizeParameters['blockSize'];
  readonly k: number;
  readonly n: number;
  readonly hasZeroPoints: boolean;
  readonly layout: 'rows' | 'columns';
}

/** Fold: do two ranges hold the same elements, `b` possibly transposed? */
export interface CompareJob {
  readonly kernel: 'compare';
  readonly elementBytes: 1 | 2 | 4 | 8;
  readonly rows: number;
  readonly columns: number;
  /** True when `b` is stored [columns, rows]. */
  readonly transposed: boolean;
}

/** Round floating-point elements to another type. */
export interface CastJob {
  readonly kernel: 'cast';
  readonly parameters: CastParameters;
}

/** Fold: what would such a cast take? */
export interface MeasureCastJob {
  readonly kernel: 'measure-cast';
  readonly parameters: Omit<CastParameters, 'saturate'>;
}

/** Write packed elements in another layout. */
export interface RelayoutJob {
  readonly kernel: 'relayout';
  readonly parameters: RelayoutParameters;
}

export type Job =
  | CopyJob
  | QuantizeJob
  | TieGateJob
  | CompareJob
  | CastJob
  | MeasureCastJob
  | RelayoutJob;

/** True for jobs that write nothing and leave numbers. */
export function isFold({ kernel }: Job): boolean {
  return kernel === 'tie-gate' || kernel === 'compare' || kernel === 'measure-cast';
}

/** As the file of an input or output: memory that all threads share, in which panels are put together. */
export const RING = -1;

/**
 * Bytes to read: `segments` runs of `segmentByteLength`, `strideBytes` apart, from entry `file` of the program's
 * inputs, or from the {@link RING}.
 */
export interface TileInput {
  readonly file: number;
  readonly byteOffset: number;
  readonly segmentByteLength: number;
  readonly segments: number;
  readonly strideBytes: number;
}

/** Where results go: a place in entry `file` of the outputs, or in the {@link RING}. */
export interface TileOutput {
  readonly file: number;
  readonly byteOffset: number;
}

/**
 * One unit of work. Runs on one thread once the first `after` tiles of the program are complete.
 *
 * Inputs and outputs by kernel:
 * - copy: one contiguous input; one output. From the ring: one or two inputs whose segments hold equal shares of
 *   `channels` channels each; what is written is, channel by channel, its shares in the order of the segments.
 * - quantize: the weight; codes, scales and (asymmetric) zero points. Rows go to files, one contiguous run each, or
 *   nowhere when they are only measured.
 *   Columns go to the ring: the places are those of the tile's first channel, and channels follow each other.
 * - tie-gate: float table, codes, scales, zero points if any; no output.
 * - compare: a, b; no output. Transposed: channels are columns of `a`, elements its rows. Otherwise one channel,
 *   elements counted over the flat tensor.
 * - cast, measure-cast: one contiguous run of one channel, elements counted over the flat tensor; one output file, none.
 * - relayout: transposed, a strip whose channels are columns of bytes (or of one wider element) and whose elements are
 *   rows; its output is a run in the ring, the columns as rows. Otherwise one contiguous
 *   run to a file, its elements bytes.
 */
export interface Tile {
  /** Index in the program's jobs. */
  readonly job: number;
  readonly after: number;
  /** First channel (row of the result) this tile covers, and how many. */
  readonly firstChannel: number;
  readonly channels: number;
  /** First element of each channel this tile covers, and how many. */
  readonly firstElement: number;
  readonly elements: number;
  readonly inputs: readonly TileInput[];
  readonly outputs: readonly TileOutput[];
}

/** A tile before its place in the order is known. */
export type UnorderedTile = Omit<Tile, 'after'>;

/** A file that is being written, open for as long as the program runs. */
export interface OutputFile {
  readonly fd: number;
  /** Path for messages. */
  readonly path: string;
}

/** Where bytes shall go. */
export interface OutputPlace {
  readonly file: OutputFile;
  readonly byteOffset: number;
}

export interface Program {
  readonly jobs: readonly Job[];
  readonly tiles: TileList;
  readonly inputs: readonly SourceFile[];
  readonly outputs: readonly OutputFile[];
  /** Bytes of the ring. */
  readonly ringBytes: number;
  /** Working memory each thread needs for its largest tile, in bytes. */
  readonly scratchBytes: number;
  /** Threads the budget was divided among; a run may use fewer, never more. */
  readonly threads: number;
  /** The budget: ring and threads × scratch stay within it. */
  readonly memoryBytes: number;
  /** Bytes all tiles together read from files: the total of the progress. */
  readonly inputBytes: number;
}
