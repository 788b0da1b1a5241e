/** Cuts work on contiguous channels into tiles: whole channels, or parts of one where a channel is large. Pure. */

import { ceilDiv, MIB } from '../bytes.ts';
import { type Budget, budgetError } from './budget.ts';
import { alongChannels, alongElements, type ExtentSeries, piecesOf } from './tile-series.ts';

// Bytes a tile works on, results included. Measured end to end: from 512 KB to 2 MB makes no difference.
const TILE_BYTES = MIB;

// Each of a tile's buffers starts on a cache line.
const ALIGNMENT_SLACK = 4 * 64;

/** Work on `n` channels of `k` elements each. */
export interface RowWork {
  readonly n: number;
  readonly k: number;
  /** A channel may be cut at multiples of this many elements. */
  readonly unit: number;
  /** Working memory, in bytes, for this many elements of one channel. */
  readonly bytes: (elements: number) => number;
}

/**
 * Tiles in channel order, each within the scratch of `budget`. Throws a ResourceError that names `what` when not
 * even `unit` elements fit.
 */
export function* rowTiles(work: RowWork, budget: Budget, what: string): Generator<ExtentSeries> {
  const { n, k, unit, bytes } = work;
  if (n === 0 || k === 0) return;
  const limit = Math.min(TILE_BYTES, budget.scratchBytes - ALIGNMENT_SLACK);
  const perChannel = bytes(k);
  if (perChannel <= limit) {
    const step = Math.floor(limit / perChannel);
    for (const pieces of piecesOf(n, step)) yield alongChannels(pieces, 0, k);
    return;
  }
  const units = Math.floor(limit / bytes(unit));
  if (units < 1) {
    throw budgetError(what, budget, 2 * budget.threads * (bytes(unit) + ALIGNMENT_SLACK + 64));
  }
  // Equal parts: a last part of a few elements costs as much as a whole one.
  const parts = ceilDiv(k, units * unit);
  const step = ceilDiv(ceilDiv(k, parts), unit) * unit;
  for (let channel = 0; channel < n; channel++) {
    for (const pieces of piecesOf(k, step)) yield alongElements(pieces, channel, 1);
  }
}
