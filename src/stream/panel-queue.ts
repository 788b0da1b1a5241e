/** Orders the tiles of panels that share one slot. Pure. */

import type { UnorderedTile } from './program.ts';

/** A panel's tiles: those that fill its slot, and those that use the filled slot. */
export interface Panel {
  readonly fill: Iterable<UnorderedTile>;
  readonly drain: Iterable<UnorderedTile>;
}

/** Receives tiles in their final order; answers how many there are now. */
export type TileSink = (tile: UnorderedTile, after: number) => number;

/**
 * Lets panels take turns with one slot: it is filled by all threads, used by all threads, filled again. At each turn
 * a thread waits for the last strip of another, a fraction of a millisecond; a second slot would save that and halve
 * the width of the panels.
 */
export class PanelQueue {
  readonly #sink: TileSink;
  #slotBytes = 0;
  /** Tiles that must be complete before the slot may be filled again. */
  #freeAfter = 0;

  constructor(sink: TileSink) {
    this.#sink = sink;
  }

  /** Byte lengths of the slots that are in use. */
  get slotBytes(): readonly number[] {
    return this.#slotBytes === 0 ? [] : [this.#slotBytes];
  }

  /** Adds a panel that takes `byteLength` bytes of a slot; `lay` gets the number of that slot. */
  add(byteLength: number, lay: (slot: number) => Panel): void {
    this.#slotBytes = Math.max(this.#slotBytes, byteLength);
    const { fill, drain } = lay(0);
    let filled = 0;
    for (const tile of fill) filled = this.#sink(tile, this.#freeAfter);
    for (const tile of drain) this.#freeAfter = this.#sink(tile, filled);
  }
}
