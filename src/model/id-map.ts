/** Whole numbers by whole number, in two flat arrays: a Map of a million entries takes five times as much. Pure. */

/** Keys and values are 0 and above. */
export class IdMap {
  readonly #mask: number;
  /** Keys plus one; 0 where nothing is. */
  readonly #keys: Int32Array;
  readonly #values: Int32Array;

  /** @param capacity how many entries there will be at most */
  constructor(capacity: number) {
    const slots = 2 ** Math.ceil(Math.log2(2 * Math.max(1, capacity)));
    this.#mask = slots - 1;
    this.#keys = new Int32Array(slots);
    this.#values = new Int32Array(slots);
  }

  /** The value of `key`, or -1. */
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
