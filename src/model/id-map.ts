/** Whole numbers by whole number, in flat arrays: a Map of a million entries takes five times as much. Pure. */

import { withLength } from '../bytes.ts';

/** Keys and values are 0 and above, values at most 2^30. */
export interface IdMap {
  /** The value of `key`, or -1. */
  get(key: number): number;
  set(key: number, value: number): void;
  keys(): Generator<number>;
}

/**
 * A map for at most `capacity` keys, most of them below `keyCount`: one array where many of those are in the map, a
 * hash table where few are. Memory: 4 bytes a key there is, or 16 to 32 a key in the map, whichever is less.
 */
export function createIdMap(capacity: number, keyCount: number): IdMap {
  return keyCount <= 4 * capacity ? new DenseIdMap(keyCount) : new SparseIdMap(capacity);
}

class DenseIdMap implements IdMap {
  /** Values plus one; 0 where nothing is. */
  #values: Int32Array<ArrayBuffer>;

  constructor(keyCount: number) {
    this.#values = new Int32Array(keyCount);
  }

  get(key: number): number {
    return (this.#values[key] ?? 0) - 1;
  }

  set(key: number, value: number): void {
    if (key >= this.#values.length) this.#grow(key + 1);
    this.#values[key] = value + 1;
  }

  #grow(keyCount: number): void {
    this.#values = withLength(this.#values, Math.max(keyCount, 2 * this.#values.length));
  }

  *keys(): Generator<number> {
    for (const [key, value] of this.#values.entries()) if (value !== 0) yield key;
  }
}

class SparseIdMap implements IdMap {
  readonly #mask: number;
  /** Keys plus one; 0 where nothing is. */
  readonly #keys: Int32Array;
  readonly #values: Int32Array<ArrayBuffer>;

  constructor(capacity: number) {
    const slots = 2 ** Math.ceil(Math.log2(2 * Math.max(1, capacity)));
    this.#mask = slots - 1;
    this.#keys = new Int32Array(slots);
    this.#values = new Int32Array(slots);
  }

  get(key: number): number {
    const slot = this.#slotOf(key);
    return this.#keys[slot] === 0 ? -1 : (this.#values[slot] as number);
  }

  set(key: number, value: number): void {
    const slot = this.#slotOf(key);
    this.#keys[slot] = key + 1;
    this.#values[slot] = value;
  }

  *keys(): Generator<number> {
    for (const key of this.#keys) if (key !== 0) yield key - 1;
  }

  /** Where `key` is or belongs. Consecutive numbers, as names come, are spread by the multiplication. */
  #slotOf(key: number): number {
    let slot = (Math.imul(key, 0x9e3779b1) >>> 7) & this.#mask;
    for (;;) {
      const present = this.#keys[slot];
      if (present === key + 1 || present === 0) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }
}
