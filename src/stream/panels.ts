/**
 * Cuts work on a [K, N] weight into panels of neighbouring columns, and panels into strips. All threads share a
 * panel: its result (or the other tensor of a comparison), channel by channel, lies in the ring. A strip is what one
 * thread reads at a time: some rows of some of the panel's columns. Pure.
 */

import { alignUp, ceilDiv, MIB } from '../bytes.ts';
import { type Budget, budgetError } from './budget.ts';
import { paddedStride } from './channel-bytes.ts';
import { alongChannels, alongElements, type ExtentSeries, piecesOf } from './tile-series.ts';

// A strip should stay in the second-level cache between its reading and its kernel. That whole rows of a weight are one
// run of bytes, read by one call, saves more: 15 % of the processor time with 2,560 x 8,704 elements.
const STRIP_BYTES = 2.25 * MIB;

// Rows that are narrow anyway are read together up to here.
const TALL_STRIP_BYTES = MIB;

// A channel's codes, scales and zero points are far apart in the ring: the more rows a strip has, the more of each is
// written in one visit, but the shorter are the segments it is read in.
const STRIP_ROWS = 128;

/**
 * What panels share: the same for every model, so that a large one takes no more memory than a small one. It holds
 * a page of each of 16,384 rows at 4 bits.
 */
export const RING_BYTES = 18.5 * MIB;

// Where the ring is too small for it, a panel may be larger: segments of a page take a quarter more processor time
// than whole rows, those of 1.5 KB more than twice as much.
const WHOLE_ROWS_ELEMENTS = 32 * MIB;

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
  /** Bytes of one whole channel in the ring. */
  readonly panelBytesPerChannel: number;
  /** A panel has at least this many columns where the budget allows, whatever the ring holds; 1 when left out. */
  readonly leastChannels?: number;
  /** Working memory, in bytes, that a strip needs per channel besides the strip itself. */
  readonly extraBytesPerChannel: (rows: number) => number;
}

/** The sizes of panels and strips; the last of each may be smaller. */
export interface PanelCut {
  /** Columns of a panel. */
  readonly channels: number;
  /** Columns of a strip. */
  readonly stripChannels: number;
  /** Rows of a strip. */
  readonly rows: number;
}

// Three parts make a panel and up to four in scratch memory, each starting on a cache line.
const PANEL_SLACK = 3 * LINE;
const SCRATCH_SLACK = 4 * LINE;

function scratchBytes(work: PanelWork, channels: number, rows: number): number {
  const strip = rows * paddedStride(channels * work.elementBytes);
  return strip + channels * work.extraBytesPerChannel(rows) + SCRATCH_SLACK;
}

/** Most channels whose strips of `rows` rows fit `bytes` of working memory. */
function mostInScratch(work: PanelWork, rows: number, bytes: number): number {
  const perChannel = rows * work.elementBytes + work.extraBytesPerChannel(rows);
  const padding = rows * 2 * LINE;
  return Math.max(0, Math.floor((bytes - SCRATCH_SLACK - padding) / perChannel));
}

/** `count` columns in even parts of at most `most`, their edges on pages or cache lines where that leaves room. */
function evenParts(count: number, most: number, elementBytes: number): number {
  if (most >= count) return count;
  const even = ceilDiv(count, ceilDiv(count, most));
  for (const edge of [PAGE / elementBytes, LINE / elementBytes]) {
    const up = alignUp(even, edge);
    if (up <= most) return up;
    const down = Math.floor(most / edge) * edge;
    if (down > most - most / 8) return down;
  }
  return even;
}

/** Chooses the cut for `budget`. Throws a ResourceError that names `what` when not even one column fits. */
export function cutPanels(work: PanelWork, budget: Budget, what: string): PanelCut {
  const { n, k, unit, elementBytes, panelBytesPerChannel } = work;
  const tallest = alignUp(k, unit);
  let rows = Math.min(alignUp(STRIP_ROWS, unit), tallest);
  if (mostInScratch(work, rows, budget.scratchBytes) < PAGE / elementBytes) rows = unit;
  const fitting = mostInScratch(work, rows, budget.scratchBytes);
  const least = Math.min(n, work.leastChannels ?? 1);
  const panelBytes = Math.min(
    budget.ringBytes,
    Math.max(RING_BYTES, least * panelBytesPerChannel + PANEL_SLACK),
  );
  const inRing = Math.floor((panelBytes - PANEL_SLACK) / panelBytesPerChannel);
  if (fitting < 1 || inRing < 1) {
    const scratch = scratchBytes(work, 1, unit) + (2 * unit + 1) * LINE;
    const panel = panelBytesPerChannel + PANEL_SLACK + 2 * LINE;
    throw budgetError(what, budget, 2 * Math.max(budget.threads * scratch, panel));
  }

  const channels = evenParts(n, inRing, elementBytes);
  const wide = Math.max(mostInScratch(work, rows, STRIP_BYTES), PAGE / elementBytes);
  const stripChannels = evenParts(channels, Math.min(wide, fitting), elementBytes);
  // Narrow weights: taller strips, so that a tile stays worth its administration.
  while (
    rows < tallest &&
    (rows + unit) * stripChannels * elementBytes <= TALL_STRIP_BYTES &&
    scratchBytes(work, stripChannels, rows + unit) <= budget.scratchBytes
  ) {
    rows += unit;
  }
  return { channels, stripChannels, rows };
}

/** As `leastChannels`: whole rows of `n` elements if there are few of them, else a page of each. */
export function readableChannels(n: number, k: number, elementBytes: number): number {
  return n * k <= WHOLE_ROWS_ELEMENTS ? n : PAGE / elementBytes;
}

/** The strips of a panel in the order of the file: neighbours in a row follow each other. */
export function* stripsOf(
  cut: PanelCut,
  k: number,
  firstOfPanel: number,
  channelsOfPanel: number,
): Generator<ExtentSeries> {
  for (const rows of piecesOf(k, cut.rows)) {
    if (channelsOfPanel <= cut.stripChannels) {
      yield alongElements(rows, firstOfPanel, channelsOfPanel);
      continue;
    }
    for (let i = 0; i < rows.count; i++) {
      for (const { start, size, count } of piecesOf(channelsOfPanel, cut.stripChannels)) {
        const pieces = { start: firstOfPanel + start, size, count };
        yield alongChannels(pieces, rows.start + i * rows.size, rows.size);
      }
    }
  }
}
