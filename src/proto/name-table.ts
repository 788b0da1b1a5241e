/** Names of a serialized model as numbers: each is found by its bytes, and becomes a string when one is wanted. */

import { randomBytes } from 'node:crypto';
import { encodeLossless, readLossless } from './strings.ts';

const FIRST_CAPACITY = 1024;
/** Hashes begin with a number of this process's own: a file cannot choose names that all fall together. */
const hashBasis = randomBytes(4).readInt32LE();
/** Odd multipliers of MurmurHash3. */
const [MIX, FINISH] = [0xcc9e2d51 | 0, 0x85ebca6b | 0];

/** The number of the empty name, which stands for an omitted input or output. */
export const NO_NAME = 0;

/**
 * Interns names. A graph of n nodes mentions some 4n names, most of them twice; comparing numbers instead of strings
 * is what makes opening it fast, and most are never shown. Memory: 20 bytes a name, and the strings asked for.
 */
export class NameTable {
  /** The bytes that {@link intern} refers to. */
  readonly buffer: Buffer;
  readonly #view: DataView;
  /** Names that are not in the buffer. */
  readonly #others = new Map<number, Buffer>();
  readonly #texts: string[] = [''];
  #starts = new Int32Array(FIRST_CAPACITY);
  #lengths = new Int32Array(FIRST_CAPACITY);
  #hashes = new Int32Array(FIRST_CAPACITY);
  /** Open addressing, at most half full. */
  #slots = new Int32Array(2 * FIRST_CAPACITY);
  #size = 1;

  /** @param buffer neither moved nor changed afterwards */
  constructor(buffer: Buffer = Buffer.alloc(0)) {
    this.buffer = buffer;
    this.#view = viewOf(buffer);
  }

  /** Numbers given are below this. */
  get size(): number {
    return this.#size;
  }

  /** The number of the name at `start` to `end` of the buffer. */
  intern(start: number, end: number): number {
    if (start === end) return NO_NAME;
    return this.#intern(this.#view, start, end);
  }

  /** The number of a name as text. */
  internText(text: string): number {
    if (text === '') return NO_NAME;
    const bytes = encodeLossless(text);
    const sizeBefore = this.#size;
    const id = this.#intern(viewOf(bytes), 0, bytes.length);
    if (this.#size > sizeBefore) this.#others.set(id, bytes);
    return id;
  }

  /** The number of a name if it has one. */
  find(text: string): number | undefined {
    if (text === '') return NO_NAME;
    const view = viewOf(encodeLossless(text));
    const slot = this.#slotOf(hashOf(view, 0, view.byteLength), view, 0, view.byteLength);
    return this.#slots[slot] || undefined;
  }

  /** The name as text, the same string every time. */
  text(id: number): string {
    const known = this.#texts[id];
    if (known !== undefined) return known;
    const text = this.peek(id);
    this.#texts[id] = text;
    return text;
  }

  /** The name as text, for once: it is not kept. */
  peek(id: number): string {
    const known = this.#texts[id];
    if (known !== undefined) return known;
    const start = this.#starts[id] as number;
    return readLossless(this.#bytesOf(id), start, start + (this.#lengths[id] as number));
  }

  #bytesOf(id: number): Buffer {
    return (this.#others.size > 0 && this.#others.get(id)) || this.buffer;
  }

  #intern(view: DataView, start: number, end: number): number {
    if (this.#size === this.#starts.length) this.#grow();
    const hash = hashOf(view, start, end);
    const slot = this.#slotOf(hash, view, start, end);
    const known = this.#slots[slot];
    if (known) return known;
    const id = this.#size++;
    this.#starts[id] = start;
    this.#lengths[id] = end - start;
    this.#hashes[id] = hash;
    this.#slots[slot] = id;
    return id;
  }

  /** The slot of a name, or the free one where it belongs. */
  #slotOf(hash: number, view: DataView, start: number, end: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const id = this.#slots[slot] as number;
      if (id === 0) return slot;
      if (this.#hashes[id] !== hash || this.#lengths[id] !== end - start) continue;
      const other = this.#others.size > 0 ? this.#others.get(id) : undefined;
      const known = other === undefined ? this.#view : viewOf(other);
      if (equals(known, this.#starts[id] as number, view, start, end - start)) return slot;
    }
  }

  #grow(): void {
    this.#starts = grown(this.#starts);
    this.#lengths = grown(this.#lengths);
    this.#hashes = grown(this.#hashes);
    this.#slots = new Int32Array(2 * this.#starts.length);
    const mask = this.#slots.length - 1;
    for (let id = 1; id < this.#size; id++) {
      let slot = (this.#hashes[id] as number) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = id;
    }
  }
}

/** Words of four bytes, the last one overlapping: names are compared in as few steps as an interpreter can. */
function hashOf(view: DataView, start: number, end: number): number {
  let hash = hashBasis ^ (end - start);
  if (end - start < 4) {
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ view.getUint8(i), MIX);
  } else {
    for (let i = start; i < end - 4; i += 4) {
      hash = Math.imul(hash ^ view.getInt32(i), MIX);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ view.getInt32(end - 4), MIX);
  }
  hash = Math.imul(hash ^ (hash >>> 16), FINISH);
  return hash ^ (hash >>> 13);
}

function equals(a: DataView, aStart: number, b: DataView, bStart: number, length: number): boolean {
  if (length < 4) {
    for (let i = 0; i < length; i++) {
      if (a.getUint8(aStart + i) !== b.getUint8(bStart + i)) return false;
    }
    return true;
  }
  for (let i = 0; i < length - 4; i += 4) {
    if (a.getInt32(aStart + i) !== b.getInt32(bStart + i)) return false;
  }
  return a.getInt32(aStart + length - 4) === b.getInt32(bStart + length - 4);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** A copy of twice the length. */
function grown(array: Int32Array): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(2 * array.length);
  copy.set(array);
  return copy;
}
