/** Small bytes for output files, gathered: a million of them are not a million calls of the system. */

import { KIB } from '../bytes.ts';
import type { FileRange, SourceFile } from '../model/tensor-data.ts';
import { fileReader } from '../proto/file-reader.ts';
import { writeBytes } from '../stream/output-file.ts';
import type { OutputFile } from '../stream/program.ts';

const CAPACITY = 256 * KIB;
/** Ranges below this are worth no tile of their own. */
const SMALL = KIB;

export function isSmall(range: FileRange): boolean {
  return range.byteLength < SMALL;
}

/** What is read with a small range, since others are likely behind it. */
const READ_AHEAD = 16 * KIB;

/** Writes small pieces that follow one another with nothing but padding, which is zeros, between them. */
export class SmallWrites {
  readonly #buffer = Buffer.alloc(CAPACITY);
  #file: OutputFile | undefined;
  #start = 0;
  #length = 0;
  #source: SourceFile | undefined;
  #sourceOffset = 0;
  #sourceBytes: Uint8Array = new Uint8Array(0);
  /** Bytes of ranges that were put. */
  bytesRead = 0;
  /** Bytes that were put. */
  bytesWritten = 0;

  /**
   * Puts `bytes` at an offset of `file`. What is between them and those put just before, when that is little, becomes
   * zeros: padding, or room for what is written afterwards, but never a shared stretch, which is longer.
   */
  put(file: OutputFile, byteOffset: number, bytes: Uint8Array): void {
    const end = byteOffset + bytes.length;
    this.bytesWritten += bytes.length;
    const fits = byteOffset >= this.#start + this.#length && end <= this.#start + CAPACITY;
    if (file !== this.#file || !fits) {
      this.flush();
      this.#file = file;
      this.#start = byteOffset;
    }
    if (bytes.length > CAPACITY) {
      writeBytes(file, bytes, byteOffset);
      return;
    }
    this.#buffer.fill(0, this.#length, byteOffset - this.#start);
    this.#buffer.set(bytes, byteOffset - this.#start);
    this.#length = end - this.#start;
  }

  /** Puts the bytes of a range that is small, and returns true; leaves others alone. */
  putRange(file: OutputFile, byteOffset: number, range: FileRange): boolean {
    if (!isSmall(range)) return false;
    this.put(file, byteOffset, this.#read(range));
    this.bytesRead += range.byteLength;
    return true;
  }

  #read({ file, byteOffset, byteLength }: FileRange): Uint8Array {
    let start = byteOffset - this.#sourceOffset;
    const isAtHand = start >= 0 && start + byteLength <= this.#sourceBytes.length;
    if (file !== this.#source || !isAtHand) {
      const length = Math.max(byteLength, Math.min(READ_AHEAD, file.byteLength - byteOffset));
      this.#sourceBytes = fileReader(file.fd, file.byteLength, file.path).read(byteOffset, length);
      this.#source = file;
      this.#sourceOffset = byteOffset;
      start = 0;
    }
    return this.#sourceBytes.subarray(start, start + byteLength);
  }

  /** Writes what was put. */
  flush(): void {
    if (this.#file !== undefined && this.#length > 0) {
      writeBytes(this.#file, this.#buffer.subarray(0, this.#length), this.#start);
    }
    this.#length = 0;
  }
}
