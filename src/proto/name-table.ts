/** Names of a serialized model as numbers: each is found by its bytes, and becomes a string when one is wanted. */

import { withLength } from '../bytes.ts';
import { secretBytes } from './secret-bytes.ts';
import { encodeLossless, readLossless } from './strings.ts';

const FIRST_CAPACITY = 1024;
/** Tables grow twofold until they have this many names more. */
const LARGEST_STEP = 256 * 1024;
/** Places in the record of a name. */
const NAME = { START: 0, BYTE_LENGTH: 1, HASH: 2, LENGTH: 3 } as const;

let basis: number | undefined;

/** Hashes begin with a number of this process's own: a file cannot choose names that all fall together. */
export function hashBasis(): number {
  basis ??= secretBytes(4).readInt32LE();
  return basis;
}

/** Odd multipliers of MurmurHash3. */
const [MIX, FINISH] = [0xcc9e2d51 | 0, 0x85ebca6b | 0];

/** The number of the empty name, which stands for an omitted input or output. */
export const NO_NAME = 0;

/** Records and slots of a {@link NameTable}, and how many names it has. */
export interface NameArrays {
  readonly records: Int32Array<ArrayBuffer>;
  readonly slots: Int32Array<ArrayBuffer>;
  readonly size: number;
}

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
  /** Records, see NAME; the first is that of the empty name. */
  #records = new Int32Array(NAME.LENGTH * FIRST_CAPACITY);
  /** Open addressing, at most half full; a power of two. */
  #slots = new Int32Array(2 * FIRST_CAPACITY);
  #size = 1;
  readonly #basis = hashBasis();

  /** @param buffer neither moved nor changed afterwards */
  constructor(buffer: Buffer = Buffer.alloc(0)) {
    this.buffer = buffer;
    this.#view = viewOf(buffer);
  }

  /** The table as the addon takes and gives it; undefined where it has names from elsewhere than the buffer. */
  get arrays(): NameArrays | undefined {
    if (this.#others.size > 0) return undefined;
    return { records: this.#records, slots: this.#slots, size: this.#size };
  }

  /** Takes what the addon made of {@link arrays}: more names of the buffer. */
  adopt({ records, slots, size }: NameArrays): void {
    this.#records = records;
    this.#slots = slots;
    this.#size = size;
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
    const hash = hashOf(this.#basis, view, 0, view.byteLength);
    const slot = this.#slotOf(hash, view, 0, view.byteLength);
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
    const start = this.#records[id * NAME.LENGTH + NAME.START] as number;
    const byteLength = this.#records[id * NAME.LENGTH + NAME.BYTE_LENGTH] as number;
    return readLossless(this.#bytesOf(id), start, start + byteLength);
  }

  #bytesOf(id: number): Buffer {
    return (this.#others.size > 0 && this.#others.get(id)) || this.buffer;
  }

  #intern(view: DataView, start: number, end: number): number {
    if (this.#size * 2 >= this.#slots.length) this.#spread();
    if ((this.#size + 1) * NAME.LENGTH > this.#records.length) this.#grow();
    const hash = hashOf(this.#basis, view, start, end);
    const slot = this.#slotOf(hash, view, start, end);
    const known = this.#slots[slot];
    if (known) return known;
    const id = this.#size++;
    const at = id * NAME.LENGTH;
    this.#records[at + NAME.START] = start;
    this.#records[at + NAME.BYTE_LENGTH] = end - start;
    this.#records[at + NAME.HASH] = hash;
    this.#slots[slot] = id;
    return id;
  }

  /** The slot of a name, or the free one where it belongs. */
  #slotOf(hash: number, view: DataView, start: number, end: number): number {
    const mask = this.#slots.length - 1;
    const records = this.#records;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const id = this.#slots[slot] as number;
      if (id === 0) return slot;
      const at = id * NAME.LENGTH;
      if (records[at + NAME.HASH] !== hash) continue;
      if (records[at + NAME.BYTE_LENGTH] !== end - start) continue;
      const other = this.#others.size > 0 ? this.#others.get(id) : undefined;
      const known = other === undefined ? this.#view : viewOf(other);
      if (equals(known, records[at + NAME.START] as number, view, start, end - start)) return slot;
    }
  }

  #grow(): void {
    const length = this.#records.length;
    const step = Math.min(length, LARGEST_STEP * NAME.LENGTH);
    this.#records = withLength(this.#records, length + step);
  }

  #spread(): void {
    this.#slots = new Int32Array(2 * this.#slots.length);
    const mask = this.#slots.length - 1;
    for (let id = 1; id < this.#size; id++) {
      let slot = (this.#records[id * NAME.LENGTH + NAME.HASH] as number) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = id;
    }
  }
}

/** Words of four bytes, the last one overlapping: names are compared in as few steps as an interpreter can. */
function hashOf(basis: number, view: DataView, start: number, end: number): number {
  let hash = basis ^ (end - start);
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
