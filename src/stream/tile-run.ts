/** What both executors leave behind, before TypeScript words it. */

/** Numbers a fold leaves per tile. Tie gate: compared, rejected, worstSteps, worstIndex. Compare: compared, different, firstIndex, 0. Cast: overflowed, zeroed, subnormal, peak. */
export const FOLD_FIELDS = 4;

/** Outcome of a run that met no input or output error. */
export interface TileRun {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** FOLD_FIELDS numbers per tile; empty when the program has no fold. Indices count over the whole tensor, -1 for none. */
  readonly folds: Float64Array;
  readonly cancelled: boolean;
  /** The first tile that met an element that cannot be quantized, and where in source order within the tile. */
  readonly nonFinite?: { readonly tile: number; readonly index: number };
}

/** What an executor throws when a read or write fails: the addon's errors have this shape. */
export interface TileFailure extends Error {
  /** Name of the errno, or `END_OF_FILE` for a read beyond the end. */
  readonly code: string;
  readonly phase: 'read' | 'write';
  /** Entry of the program's inputs or outputs. */
  readonly file: number;
  readonly offset: number;
  readonly tile: number;
}

/** True for the errors executors throw. */
export function isTileFailure(error: unknown): error is TileFailure {
  return error instanceof Error && 'phase' in error && 'tile' in error && 'code' in error;
}
