/** Orders the tiles of panels, which pass through one ring of memory. Pure. */

import { alignLine } from './channel-bytes.ts';
import type { TileSeries } from './tile-series.ts';

/** A panel's tiles: those that fill its place in the ring, and those that use what is there then. */
export interface Panel {
  readonly fill: Iterable<TileSeries>;
  readonly drain: Iterable<TileSeries>;
}

/** Receives tiles in their final order, by series and index; answers how many there are now. */
export type TileSink = (series: TileSeries, index: number, after: number) => number;

/** A part of the ring that a panel has, until the first `freeAfter` tiles are complete. */
interface Region {
  readonly start: number;
  readonly end: number;
  freeAfter: number;
}

/** The panel that is full and whose tiles wait to be mixed with those that follow. */
interface FullPanel {
  readonly region: Region;
  readonly drain: Iterator<TileSeries>;
  series?: TileSeries;
  index: number;
  /** Tiles that must be complete before it is full. */
  readonly fullAfter: number;
}

/**
 * Gives each panel a part of the ring. Files are written by one thread at a time, whoever has several: so the tiles
 * that write a panel are mixed with those that fill the next one, where the ring has room for both.
 */
export class PanelQueue {
  readonly #sink: TileSink;
  readonly #ringBytes: number;
  /** Those not given to another panel yet, the oldest first: in the order of the ring from #next on. */
  readonly #regions: Region[] = [];
  /** Tiles that must be complete before what was given away last is free. Panels get free in their order. */
  #freeAfter = 0;
  #next = 0;
  #usedBytes = 0;
  #full: FullPanel | undefined;

  /** `ringBytes` is how much panels share; one that is larger has it, and more, to itself. */
  constructor(ringBytes: number, sink: TileSink) {
    this.#ringBytes = ringBytes;
    this.#sink = sink;
  }

  /** How much of the ring is in use, in bytes. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Adds a panel that takes `byteLength` bytes; `lay` gets the offset of its part of the ring. */
  add(byteLength: number, lay: (start: number) => Panel): void {
    const start = this.#take(byteLength);
    const end = start + byteLength;
    const freeAfter = this.#freeAfter;
    const { fill, drain } = lay(start);
    let fullAfter = 0;
    for (const series of fill) {
      for (let index = 0; index < series.count; index++) {
        fullAfter = this.#sink(series, index, freeAfter);
        this.mix();
      }
    }
    this.finish();
    const region = { start, end, freeAfter: 0 };
    this.#regions.push(region);
    this.#full = { region, drain: drain[Symbol.iterator](), index: 0, fullAfter };
    this.#next = alignLine(end);
    this.#usedBytes = Math.max(this.#usedBytes, end);
  }

  /** Where `byteLength` bytes begin that no panel has once the first #freeAfter tiles are complete. */
  #take(byteLength: number): number {
    let start = this.#next;
    if (start + byteLength > this.#ringBytes) {
      this.#release(({ start: other }) => other >= this.#next);
      start = 0;
    }
    this.#release((other) => other.start < start + byteLength && start < other.end);
    return start;
  }

  /** Gives the oldest regions away, as long as they are wanted. */
  #release(isWanted: (region: Region) => boolean): void {
    for (;;) {
      const oldest = this.#regions[0];
      if (oldest === undefined || !isWanted(oldest)) return;
      if (oldest === this.#full?.region) this.finish();
      this.#freeAfter = oldest.freeAfter;
      this.#regions.shift();
    }
  }

  /** Lets one tile of the full panel follow what was appended; false when there is none. */
  mix(): boolean {
    const full = this.#full;
    if (full === undefined) return false;
    if (full.index === (full.series?.count ?? 0)) {
      const next = full.drain.next();
      if (next.done) {
        this.#full = undefined;
        return false;
      }
      full.series = next.value;
      full.index = 0;
    }
    if (full.series !== undefined) {
      full.region.freeAfter = this.#sink(full.series, full.index++, full.fullAfter);
    }
    return true;
  }

  /** Appends what is left of the full panel. */
  finish(): void {
    while (this.mix());
  }
}
