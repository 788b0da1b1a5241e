/**
 * A program: everything one run of the executor does, laid out before it starts. Jobs say which kernel with which
 * parameters; tiles say which bytes go through it. Both executors (native threads, TypeScript) run the same tiles
 * and give the same bytes. Pure data.
 */

import type { FloatTypeCode, QuantizeParameters } from '../kernels/kernel.ts';

/** Byte-for-byte copy, or a write of a finished slot. */
export interface CopyJob {
  readonly kernel: 'copy';
}

/** Quantize rows or columns of a 2-D weight. */
export interface QuantizeJob {
  readonly kernel: 'quantize-rtn';
  readonly parameters: QuantizeParameters;
}

/** Fold: is a quantized table the encoding of a float one? `columns` when the float table is stored [K, N]. */
export interface TieGateJob {
  readonly kernel: 'tie-gate';
  readonly type: FloatTypeCode;
  readonly scaleType: FloatTypeCode;
  readonly bits: 4 | 8;
  readonly blockSize: number;
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

export type Job = CopyJob | QuantizeJob | TieGateJob | CompareJob;

/** Bytes to read: `segments` runs of `segmentByteLength`, `strideBytes` apart, from entry `file` of `inputs`. */
export interface TileInput {
  readonly file: number;
  readonly byteOffset: number;
  readonly segmentByteLength: number;
  readonly segments: number;
  readonly strideBytes: number;
}

/** Where results go: a place in entry `file` of `outputs`, or (file < 0) in the shared slot `-1 - file`. */
export interface TileOutput {
  readonly file: number;
  readonly byteOffset: number;
}

/** One unit of work. Runs on one thread once the first `after` tiles of the program are complete. */
export interface Tile {
  /** Index in the program's jobs. */
  readonly job: number;
  readonly after: number;
  /** First channel (row of the result) this tile covers, and how many. */
  readonly firstChannel: number;
  readonly channels: number;
  /** First element of each channel this tile covers, and how many (column strips cover less than k). */
  readonly firstElement: number;
  readonly elements: number;
  readonly inputs: readonly TileInput[];
  /** Slot to read from instead of `inputs`: for the copy that writes a finished panel. */
  readonly fromSlot?: {
    readonly slot: number;
    readonly byteOffset: number;
    readonly byteLength: number;
  };
  readonly outputs: readonly TileOutput[];
}
