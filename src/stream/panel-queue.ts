/** Orders the tiles of panels so that threads never wait for each other at a panel's end. Pure. */

import type { Tile } from './program.ts';

/** A tile before its place in the order is known. */
export type UnorderedTile = Omit<Tile, 'after'>;

/** A panel's tiles: those that fill its slot, and those that use the filled slot. */
export interface Panel {
  readonly fill: readonly UnorderedTile[];
  readonly drain: readonly UnorderedTile[];
}

/** Receives tiles in their final order; answers how many there are now. */
export type TileSink = (tile: UnorderedTile, after: number) => number;

interface Pending {
  readonly drain: readonly UnorderedTile[];
  readonly slot: number;
  readonly filledAfter: number;
}

/**
 * Lets panels alternate between two slots. A panel is drained while the next one is filled: the shorter of the two
 * lists of tiles goes into the middle of the longer one, so that what each has to wait for is long done.
 */
export class PanelQueue {
  readonly #sink: TileSink;
  readonly #slotBytes: number[] = [];
  /** Tiles that must be complete before a slot may be filled again. */
  readonly #freeAfter = [0, 0];
  #next = 0;
  #pending: Pending | undefined;

  constructor(sink: TileSink) {
    this.#sink = sink;
  }

  /** Byte lengths of the slots that are in use. */
  get slotBytes(): readonly number[] {
    return this.#slotBytes;
  }

  /** Adds a panel that takes `byteLength` bytes of a slot; `lay` gets the number of that slot. */
  add(byteLength: number, lay: (slot: number) => Panel): void {
    const slot = this.#next;
    this.#next = 1 - slot;
    this.#slotBytes[slot] = Math.max(this.#slotBytes[slot] ?? 0, byteLength);
    const { fill, drain } = lay(slot);
    const previous = this.#pending;
    const fillAfter = this.#freeAfter[slot] ?? 0;
    const drainAfter = previous?.filledAfter ?? 0;
    const draining = previous?.drain ?? [];

    let filled = 0;
    let drained = 0;
    const emitFill = (tiles: readonly UnorderedTile[]) => {
      for (const tile of tiles) filled = this.#sink(tile, fillAfter);
    };
    const emitDrain = (tiles: readonly UnorderedTile[]) => {
      for (const tile of tiles) drained = this.#sink(tile, drainAfter);
    };
    if (fill.length >= draining.length) {
      const half = Math.ceil(fill.length / 2);
      emitFill(fill.slice(0, half));
      emitDrain(draining);
      emitFill(fill.slice(half));
    } else {
      const half = Math.ceil(draining.length / 2);
      emitDrain(draining.slice(0, half));
      emitFill(fill);
      emitDrain(draining.slice(half));
    }
    if (previous) this.#freeAfter[previous.slot] = drained;
    this.#pending = { drain, slot, filledAfter: filled };
  }

  /** Emits what is left: after the last panel. */
  flush(): void {
    const previous = this.#pending;
    if (!previous) return;
    this.#pending = undefined;
    for (const tile of previous.drain) {
      this.#freeAfter[previous.slot] = this.#sink(tile, previous.filledAfter);
    }
  }
}
