/** The questions a surgery may ask about bytes. The answers stream; a surgery never reads a weight itself. */

import type { CastLoss } from '../kernels/cast.ts';
import type {
  CastParameters,
  FloatTypeCode,
  QuantizeParameters,
  WeightLayout,
} from '../kernels/kernel.ts';
import type { FileRange } from '../model/tensor-data.ts';
import type { PackedRows } from './packed-rows.ts';

/** Bytes of a file, or some that are in memory. */
export type ByteSource = FileRange | Uint8Array;

/** A stored float matrix of `n` rows of `k` elements; `columns` when it is stored [k, n]. */
export interface FloatTable {
  readonly range: FileRange;
  readonly type: FloatTypeCode;
  readonly layout: WeightLayout;
  readonly n: number;
  readonly k: number;
}

/** Stored codes, scales and zero points of `n` rows of `k` elements. */
export interface StoredTable {
  readonly codes: FileRange;
  readonly scales: FileRange;
  readonly scaleType: FloatTypeCode;
  readonly zeroPoints: FileRange | undefined;
  readonly bits: QuantizeParameters['bits'];
  readonly blockSize: 16 | 32 | 64 | 128 | 256;
  readonly n: number;
  readonly k: number;
}

/** A cast to measure. */
export interface CastQuestion extends Omit<CastParameters, 'saturate'> {
  readonly range: FileRange;
}

/** Answer of {@link Gates.compareTables}. */
export interface Comparison {
  readonly compared: number;
  readonly different: number;
  /** Row and element of the first difference. */
  readonly first: { readonly row: number; readonly element: number } | undefined;
}

/** Answer of {@link Gates.checkEncoding}. */
export interface EncodingCheck {
  readonly compared: number;
  readonly rejected: number;
  /** Largest distance of an element from its code, in quantization steps, over elements that are not clamped. */
  readonly worstSteps: number;
  readonly worst: { readonly row: number; readonly element: number } | undefined;
}

/**
 * A table is accepted only after all of it was compared, never a sample; a refusal may come from the first part that
 * differs. Each answer costs one streamed read at most, counted in `bytesRead`.
 */
export interface Gates {
  /** Do two float tables hold the same bits, however each is stored? The same range costs nothing. */
  compareTables(a: FloatTable, b: FloatTable): Promise<Comparison>;
  /** Is a stored quantized table the nearest encoding of a float one? See native/kernels/kernels.h for the rule. */
  checkEncoding(table: FloatTable, stored: StoredTable): Promise<EncodingCheck>;
  /** Do two byte ranges of equal length hold the same bytes? With `rows`, padding within them is not compared. */
  compareRanges(a: FileRange, b: FileRange, rows?: PackedRows): Promise<Comparison>;
  /**
   * Which sources of a group, all of one length, hold the same bytes? Gives for each source of each group the index in
   * its group of the first that equals it, its own where none does. Those that differ at once cost next to nothing.
   */
  findEqual(groups: readonly (readonly ByteSource[])[]): Promise<readonly (readonly number[])[]>;
  /** What would casts take from the tensors of some ranges? In their order. */
  measureCasts(casts: readonly CastQuestion[]): Promise<readonly CastLoss[]>;
  readonly bytesRead: number;
}
