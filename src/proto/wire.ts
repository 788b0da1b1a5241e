/** A forward-only reader of protobuf's wire format that keeps what it passes and can let payloads go unread. */

import { FormatError, ResourceError } from '../errors.ts';
import { FILE_BYTE_LIMIT, SKELETON_BYTE_LIMIT } from './limits.ts';

/** Bytes at known offsets: a file, or memory. */
export interface ByteReader {
  readonly byteLength: number;
  /** The bytes, of a reader over memory. */
  readonly bytes?: Uint8Array;
  /** The descriptor, of a reader over an open file. */
  readonly fd?: number;
  /**
   * The `byteLength` bytes from `byteOffset` on; both lie within the reader. The result is not written to. It stays
   * valid and unchanged, unless `scratch`, which is at least as long, was given: then it may be a part of it.
   */
  read(byteOffset: number, byteLength: number, scratch?: Uint8Array): Uint8Array;
}

/** A reader over bytes in memory. `read` returns views. */
export function memoryReader(bytes: Uint8Array): ByteReader {
  return {
    byteLength: bytes.byteLength,
    bytes,
    read: (byteOffset, byteLength) => bytes.subarray(byteOffset, byteOffset + byteLength),
  };
}

/** Wire types of protobuf. */
export const WireType = { VARINT: 0, I64: 1, LEN: 2, SGROUP: 3, EGROUP: 4, I32: 5 } as const;

/** A tag takes at most 5 bytes and a varint value 10; nothing that must be seen at once is longer. */
const LOOKAHEAD = 16;
/** The first read takes small models whole. */
const FIRST_WINDOW = 1024 * 1024;
/** After a payload was left out another one is likely near: read one page, then more as long as it is needed. */
const WINDOW_AFTER_GAP = 4096;
const LARGEST_WINDOW = 1024 * 1024;
/** Graphs of this size are kept without being moved. */
const FIRST_CAPACITY = 128 * 1024 * 1024;

/** Number of bytes of `value` (0 to 2^35-1) as a varint. */
export function varintByteLength(value: number): number {
  if (value < 2 ** 7) return 1;
  if (value < 2 ** 14) return 2;
  if (value < 2 ** 21) return 3;
  return value < 2 ** 28 ? 4 : 5;
}

/** Writes `value` (0 to 2^35-1) as a varint of exactly `width` bytes (1 to 5), padded if it needs fewer. */
export function writeVarint(target: Uint8Array, at: number, value: number, width: number): void {
  let rest = value;
  for (let i = 0; i < width - 1; i++) {
    target[at + i] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  target[at + width - 1] = rest;
}

/**
 * Reads a source from front to back through a window. Everything passed with `skip` and the `read` methods is
 * kept, everything passed with `drop` is not; `insert` puts bytes in its place. Memory: what is kept, once more while it
 * grows, and one window of at most 1 MiB.
 */
export class WireReader {
  /** Offset in the source of the next byte. Advance with the methods only. */
  get byteOffset(): number {
    return this.#windowOffset + this.#index;
  }

  readonly #source: ByteReader;
  readonly #name: string;
  #window: Uint8Array = new Uint8Array(0);
  #windowOffset = 0;
  #windowLength: number;
  #index = 0;
  /** Window bytes before this index are kept already, or dropped. */
  #keptIndex = 0;
  #kept: Uint8Array = new Uint8Array(0);
  #keptLength = 0;
  #gapless = true;
  #scratch: Uint8Array = new Uint8Array(0);

  /**
   * @param name the file's name for messages
   * @param firstWindow bytes of the first read; all of it when the source is in memory
   */
  constructor(source: ByteReader, name: string, firstWindow = FIRST_WINDOW) {
    this.#source = source;
    this.#name = name;
    this.#windowLength = firstWindow;
    if (source.byteLength > FILE_BYTE_LIMIT) {
      throw new FormatError(
        'ERR_LIMIT',
        `${name}: the file has ${source.byteLength} bytes, protobuf ends at 2^31-1`,
        {
          hint: 'a model of 2 GiB or more keeps its weights in external data; is this the .onnx file?',
        },
      );
    }
  }

  /** An error of this source: what is wrong, and at which byte. */
  error(
    code: 'ERR_PROTOBUF' | 'ERR_TRUNCATED' | 'ERR_LIMIT',
    what: string,
    byteOffset: number,
  ): FormatError {
    return new FormatError(code, `${this.#name}: ${what} at byte ${byteOffset}`, {
      details: { byteOffset },
    });
  }

  /** Puts the next 16 bytes (fewer at the end of the source) into the window. Call before every field. */
  prepare(): void {
    if (this.#window.length - this.#index >= LOOKAHEAD) return;
    if (this.#windowOffset + this.#window.length >= this.#source.byteLength) return;
    this.#refill();
  }

  #refill(): void {
    const { byteOffset } = this;
    this.#keep(this.#index);
    const left = this.#source.byteLength - byteOffset;
    const length = Math.min(left, this.#windowLength);
    this.#window = this.#source.read(byteOffset, length, this.#scratchFor(byteOffset, length));
    this.#windowOffset = byteOffset;
    this.#index = 0;
    this.#keptIndex = 0;
    this.#windowLength = Math.min(LARGEST_WINDOW, this.#windowLength * 4);
  }

  /** Memory for a window. The first one is not for reuse: a small model is returned as it was read. */
  #scratchFor(byteOffset: number, length: number): Uint8Array | undefined {
    if (byteOffset === 0) return undefined;
    if (this.#scratch.length < length) this.#scratch = new Uint8Array(length);
    return this.#scratch;
  }

  /** Reads a field tag: at most 32 bits, as in every implementation. */
  readTag(): number {
    const first = this.#window[this.#index];
    if (first !== undefined && first < 128) {
      this.#index++;
      return first;
    }
    const start = this.byteOffset;
    const tag = this.#readVarint(5);
    if (tag >= 2 ** 32)
      throw this.error('ERR_PROTOBUF', 'a field tag has more than 32 bits', start);
    return tag;
  }

  /** Reads the length of a length-delimited field and checks it against `end`, the end of its parent. */
  readLength(end: number): number {
    const start = this.byteOffset;
    const first = this.#window[this.#index];
    let length: number;
    if (first !== undefined && first < 128) {
      this.#index++;
      length = first;
    } else {
      length = this.#readVarint(5);
      if (length > FILE_BYTE_LIMIT) {
        throw this.error('ERR_PROTOBUF', `a field length of ${length} is beyond 2^31-1`, start);
      }
    }
    this.#requireRoom(length, end, start);
    return length;
  }

  /** Reads a varint of at most `limit` (≤ 5) bytes as a number. */
  #readVarint(limit: number): number {
    const start = this.byteOffset;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < limit; i++) {
      const byte = this.#window[this.#index];
      if (byte === undefined)
        throw this.error('ERR_TRUNCATED', 'the file ends inside a number', start);
      this.#index++;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw this.error('ERR_PROTOBUF', `a tag or length has more than ${limit} bytes`, start);
  }

  /** Passes a varint value of at most 10 bytes. */
  skipVarint(): void {
    const start = this.byteOffset;
    for (let i = 0; i < 10; i++) {
      const byte = this.#window[this.#index];
      if (byte === undefined)
        throw this.error('ERR_TRUNCATED', 'the file ends inside a number', start);
      this.#index++;
      if (byte < 128) return;
    }
    throw this.error('ERR_PROTOBUF', 'a number has more than 10 bytes', start);
  }

  /** Passes `byteLength` bytes that must end at or before `end`. */
  skip(byteLength: number, end: number): void {
    this.#requireRoom(byteLength, end, this.byteOffset);
    let left = byteLength;
    if (left > this.#window.length - this.#index) {
      // Refused before it is read, not after.
      this.#requireKeepable(this.keptLength + left);
    }
    while (left > this.#window.length - this.#index) {
      left -= this.#window.length - this.#index;
      this.#index = this.#window.length;
      this.#refill();
    }
    this.#index += left;
  }

  /** Throws when `byteLength` bytes from here do not fit before `end`. */
  #requireRoom(byteLength: number, end: number, start: number): void {
    const stop = this.byteOffset + byteLength;
    if (stop <= end) return;
    if (stop > this.#source.byteLength) {
      throw new FormatError(
        'ERR_TRUNCATED',
        `${this.#name}: a field at byte ${start} ends at byte ${stop}, the file has ${this.#source.byteLength}`,
        { hint: 'the file is cut off or not an ONNX model', details: { byteOffset: start } },
      );
    }
    throw this.error('ERR_PROTOBUF', `a field ends at byte ${stop}, beyond its message,`, start);
  }

  /** Number of kept bytes up to here: where in the result the next kept byte will stand. */
  get keptLength(): number {
    return this.#keptLength + this.#index - this.#keptIndex;
  }

  /**
   * Replaces what was read since `byteOffset` (within the bytes of the last `prepare`), and the `dropped` bytes
   * that follow, by `bytes`. The dropped bytes are not read from the source unless the window has them already.
   */
  replace(byteOffset: number, dropped: number, bytes: Uint8Array): void {
    this.#gapless = false;
    this.#keep(byteOffset - this.#windowOffset);
    this.#append(bytes);
    this.#index += dropped;
    this.#keptIndex = this.#index;
    if (this.#index > this.#window.length) {
      this.#windowOffset += this.#index;
      this.#window = new Uint8Array(0);
      this.#index = 0;
      this.#keptIndex = 0;
      this.#windowLength = WINDOW_AFTER_GAP;
    }
  }

  /** Writes `value` over the kept varint of `width` bytes at `keptOffset`, which must lie before the last `replace`. */
  patchLength(keptOffset: number, value: number, width: number): void {
    writeVarint(this.#kept, keptOffset, value, width);
  }

  /** What was kept. A source that came in one read and lost nothing is returned as it was read. */
  finish(): Uint8Array {
    if (this.#gapless && this.#keptLength === 0) return this.#window.subarray(0, this.#index);
    this.#keep(this.#index);
    return this.#kept.subarray(0, this.#keptLength);
  }

  /** Keeps the window up to `index`. */
  #keep(index: number): void {
    if (index > this.#keptIndex) this.#append(this.#window.subarray(this.#keptIndex, index));
    this.#keptIndex = index;
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#keptLength + bytes.length;
    if (needed > this.#kept.length) this.#grow(needed);
    this.#kept.set(bytes, this.#keptLength);
    this.#keptLength = needed;
  }

  /** Throws when the result would have more than the allowed `byteLength` bytes. */
  #requireKeepable(byteLength: number): void {
    if (byteLength <= SKELETON_BYTE_LIMIT) return;
    throw new FormatError(
      'ERR_LIMIT',
      `${this.#name}: more than ${SKELETON_BYTE_LIMIT} bytes besides tensor payloads`,
      {
        hint: 'store weights in raw_data or external data, not in int32_data, int64_data or strings',
      },
    );
  }

  #grow(needed: number): void {
    this.#requireKeepable(needed);
    // What is kept never outgrows the source: a payload's stand-in is smaller than the payload. Room that is not
    // used takes no memory, room that is copied from takes it twice.
    const wanted = Math.max(FIRST_CAPACITY, this.#kept.length * 4);
    const capacity = Math.max(needed, Math.min(this.#source.byteLength, wanted));
    try {
      const grown = new Uint8Array(capacity);
      grown.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = grown;
    } catch (cause) {
      throw new ResourceError(
        'ERR_MEMORY_BUDGET',
        `${this.#name}: no memory for ${capacity} bytes`,
        {
          cause,
        },
      );
    }
  }
}
