/**
 * Cuts work on a [K, N] weight into panels of neighbouring columns. All threads share a panel: its result (or the
 * other tensor of a comparison), channel by channel, lies in a slot; the weight passes by in strips of rows. Pure.
 */

import { alignUp, ceilDiv, MIB } from '../bytes.ts';
import { type Budget, budgetError } from './budget.ts';
import { alignLine, paddedStride } from './channel-bytes.ts';

// Bytes of a strip where the tensor's shape leaves the choice: about half of a second-level cache.
const STRIP_BYTES = MIB;

// Four blocks of 32 elements fill one 64-byte line of 4-bit codes per channel.
const STRIP_ROWS = 128;

const PAGE = 4096;
const LINE = 64;

/** Work on a weight of `k` rows and `n` columns. */
export interface PanelWork {
  readonly n: number;
  readonly k: number;
  /** Bytes of an element of the weight. */
  readonly elementBytes: number;
  /** Strips are cut at multiples of this many rows. */
  readonly unit: number;
  /** Bytes of one whole channel in the slot. */
  readonly slotBytesPerChannel: number;
  /** Working memory, in bytes, that a strip needs per channel besides the strip itself. */
  readonly extraBytesPerChannel: (rows: number) => number;
}

/** The cut: every panel but the last has `channels` columns, every strip but the last `rows` rows. */
export interface PanelCut {
  readonly channels: number;
  readonly rows: number;
}

// Three parts lie in a slot and up to four in scratch memory, each starting on a cache line.
const SLOT_SLACK = 3 * LINE;
const SCRATCH_SLACK = 4 * LINE;

function scratchBytes(work: PanelWork, channels: number, rows: number): number {
  const strip = rows * paddedStride(channels * work.elementBytes);
  return strip + channels * work.extraBytesPerChannel(rows) + SCRATCH_SLACK;
}

/** Most channels whose strips of `rows` rows and slot fit the budget; 0 when not even one does. */
function mostChannels(work: PanelWork, rows: number, budget: Budget): number {
  const bySlot = Math.floor((budget.slotBytes - SLOT_SLACK) / work.slotBytesPerChannel);
  const perChannel = rows * work.elementBytes + work.extraBytesPerChannel(rows);
  const padding = rows * 2 * LINE;
  const byScratch = Math.floor((budget.scratchBytes - SCRATCH_SLACK - padding) / perChannel);
  return Math.max(0, Math.min(work.n, bySlot, byScratch));
}

/** Evens out the panels and lets their edges fall on pages, or cache lines, where `most` leaves room for it. */
function roundChannels(work: PanelWork, most: number): number {
  if (most >= work.n) return work.n;
  const even = ceilDiv(work.n, ceilDiv(work.n, most));
  for (const edge of [PAGE / work.elementBytes, LINE / work.elementBytes]) {
    if (alignUp(even, edge) <= most) return alignUp(even, edge);
  }
  return even;
}

/** Chooses the cut for `budget`. Throws a ResourceError that names `what` when not even one column fits. */
export function cutPanels(work: PanelWork, budget: Budget, what: string): PanelCut {
  const { k, unit } = work;
  const tallest = alignUp(k, unit);
  const usual = Math.min(alignUp(STRIP_ROWS, unit), tallest);
  // Lower strips leave room for wider panels, whose segments are longer.
  let rows = usual;
  let most = mostChannels(work, usual, budget);
  if (unit < usual && mostChannels(work, unit, budget) > most && most * work.elementBytes < PAGE) {
    rows = unit;
    most = mostChannels(work, unit, budget);
  }
  if (most < 1) {
    const scratch = scratchBytes(work, 1, unit) + 2 * LINE * unit;
    const slot = alignLine(work.slotBytesPerChannel + SLOT_SLACK) + LINE;
    throw budgetError(what, budget, 2 * Math.max(slot + budget.threads * scratch, 2 * slot));
  }
  const channels = roundChannels(work, most);
  // Narrow panels: make the strips taller, so that a tile stays worth its administration.
  while (
    rows < tallest &&
    (rows + unit) * channels * work.elementBytes <= STRIP_BYTES &&
    scratchBytes(work, channels, rows + unit) <= budget.scratchBytes
  ) {
    rows += unit;
  }
  return { channels, rows };
}
