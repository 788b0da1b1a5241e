/** What the header of a safetensors file says, held compactly and checked as its readers check it. */

import { withLength } from '../bytes.ts';
import { FormatError } from '../errors.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { fileReader } from '../proto/file-reader.ts';
import { secretBytes } from '../proto/secret-bytes.ts';
import type { ByteReader } from '../proto/wire.ts';
import { quoted } from './reference.ts';
import {
  entryBits,
  HEADER_START,
  LONGEST_HEADER,
  PREFIX_BYTES,
  type SafetensorsEntry,
} from './safetensors.ts';
import { HeaderText } from './safetensors-text.ts';

function damaged(message: string): FormatError {
  return new FormatError('ERR_EXTERNAL_DATA', message);
}

/**
 * Where the data of a safetensors file begins: what stands before it is no data, and not dead either.
 * Throws a FormatError for a file that does not begin like one, a ResourceError when it cannot be read.
 */
export function dataStart(reader: ByteReader): number {
  if (reader.byteLength < PREFIX_BYTES + 2) throw damaged('the file is too short for a header');
  const bytes = reader.read(0, PREFIX_BYTES + 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = view.getBigUint64(0, true);
  if (headerBytes > LONGEST_HEADER) {
    throw damaged(`the header has ${headerBytes} bytes, readers take ${LONGEST_HEADER}`);
  }
  const start = PREFIX_BYTES + Number(headerBytes);
  if (start > reader.byteLength) {
    throw damaged(`the header ends at ${start}, the file has ${reader.byteLength} bytes`);
  }
  if (headerBytes < 2n || bytes[PREFIX_BYTES] !== 0x7b) {
    throw damaged('the header does not begin with {');
  }
  return start;
}

/** Bytes before the data of a file that is called like safetensors; 0 when it does not begin like that. */
export function headerByteLength({ fd, byteLength, path }: SourceFile): number {
  try {
    return dataStart(fileReader(fd, byteLength, path));
  } catch (error) {
    if (error instanceof FormatError) return 0;
    throw error;
  }
}

/** Whether this library wrote the header: such a file is the data of a model and no checkpoint. */
export function isOwnSafetensors({ fd, byteLength, path }: SourceFile): boolean {
  const wanted = Buffer.from(HEADER_START);
  if (byteLength < PREFIX_BYTES + wanted.length) return false;
  return wanted.equals(fileReader(fd, byteLength, path).read(PREFIX_BYTES, wanted.length));
}

/**
 * A number for a name that two names share about never, and that no file can aim at.
 * @param seed a secret of this process
 */
export function nameHash(name: string, seed: number): number {
  let high = seed ^ name.length;
  let low = Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b;
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    high = Math.imul(high ^ unit, 0x9e3779b1);
    high ^= high >>> 15;
    low = Math.imul(low ^ unit, 0x5f356495);
    low ^= low >>> 13;
  }
  return (high & 0x1fffff) * 2 ** 32 + ((low ^ Math.imul(high, 0xc2b2ae35)) >>> 0);
}

/** A list of numbers that grows. */
class Numbers {
  values = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.values.length) {
      this.values = withLength(this.values, 2 * this.length);
    }
    this.values[this.length++] = value;
  }

  at(index: number): number {
    return this.values[index] as number;
  }
}

/** Names that a header has more than once; `hashes` are those of all its names. */
function duplicates(hashes: Numbers, names: () => Iterable<string>, seed: number): string[] {
  const sorted = hashes.values.slice(0, hashes.length).sort();
  const suspects = new Set<number>();
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i] === sorted[i - 1]) suspects.add(sorted[i] as number);
  }
  const seen = new Set<string>();
  const found = new Set<string>();
  if (suspects.size === 0) return [];
  for (const name of names()) {
    if (!suspects.has(nameHash(name, seed))) continue;
    if (seen.has(name)) found.add(name);
    seen.add(name);
  }
  return [...found];
}

/** What is wrong with an entry by itself. */
function entryProblem({ dtype, shape, begin, end }: SafetensorsEntry): string | undefined {
  if (begin > end) return `ends at ${end}, before it begins at ${begin}`;
  const bits = entryBits(dtype);
  if (bits === undefined) return `has the type ${quoted(dtype)}, which readers do not know`;
  // A product beyond 2^53 is inexact, and no length of a file.
  const wanted = shape.reduce((product, dim) => product * dim, bits) / 8;
  if (wanted === end - begin) return undefined;
  return `has ${end - begin} bytes, ${dtype} [${shape.join()}] takes ${wanted}`;
}

/** The entries of a header by where their bytes begin. Memory: 40 bytes an entry while it is read, then 24. */
export class SafetensorsHeader {
  /** Where the data begins in the file. */
  readonly dataStart: number;
  readonly #text: HeaderText;
  readonly #begins = new Numbers();
  readonly #ends = new Numbers();
  readonly #positions = new Numbers();
  /** Numbers of entries in the order of their bytes. */
  readonly #order: Uint32Array;

  /**
   * Reads a header; `onProblem` hears of what makes readers refuse the file, though its text can be read.
   * Throws a FormatError for a header that is damaged, a ResourceError when the file cannot be read.
   */
  constructor(reader: ByteReader, onProblem: (message: string) => void) {
    this.dataStart = dataStart(reader);
    const open = () => new HeaderText(reader, PREFIX_BYTES, this.dataStart);
    const hashes = new Numbers();
    const seed = secretBytes(4).readInt32LE();
    for (const { entry, position } of open().entries()) {
      const problem = entryProblem(entry);
      if (problem !== undefined) onProblem(`entry ${quoted(entry.name)} ${problem}`);
      this.#begins.push(entry.begin);
      this.#ends.push(entry.end);
      this.#positions.push(position);
      hashes.push(nameHash(entry.name, seed));
    }
    this.#text = open();
    const names = function* () {
      for (const { entry } of open().entries()) yield entry.name;
    };
    for (const name of duplicates(hashes, names, seed)) {
      onProblem(`two entries are called ${quoted(name)}`);
    }
    this.#order = Uint32Array.from({ length: this.#begins.length }, (_, index) => index);
    this.#order.sort(
      (a, b) => this.#begins.at(a) - this.#begins.at(b) || this.#ends.at(a) - this.#ends.at(b),
    );
    this.#checkPlaces(reader.byteLength - this.dataStart, onProblem);
  }

  /** The entry whose bytes are exactly these of the file, or undefined. */
  find(byteOffset: number, byteLength: number): Omit<SafetensorsEntry, 'name'> | undefined {
    const begin = byteOffset - this.dataStart;
    const end = begin + byteLength;
    const order = this.#order;
    let [low, high] = [0, order.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const index = order[middle] as number;
      const isBefore =
        this.#begins.at(index) < begin ||
        (this.#begins.at(index) === begin && this.#ends.at(index) < end);
      if (isBefore) low = middle + 1;
      else high = middle;
    }
    const index = order[low];
    const isFound =
      index !== undefined && this.#begins.at(index) === begin && this.#ends.at(index) === end;
    return isFound ? this.#text.valueAt(this.#positions.at(index)) : undefined;
  }

  /** The bytes must belong to one entry each, to the end of the file. Says where that fails first. */
  #checkPlaces(dataBytes: number, onProblem: (message: string) => void): void {
    let end = 0;
    for (const index of this.#order) {
      const begin = this.#begins.at(index);
      if (begin !== end) {
        const [from, to, what] =
          begin > end ? [end, begin, 'no entry'] : [begin, end, 'two entries'];
        onProblem(`bytes ${from} to ${to} of the data belong to ${what}`);
        return;
      }
      end = this.#ends.at(index);
    }
    if (end !== dataBytes) {
      onProblem(`the entries end at ${end}, the file has ${dataBytes} bytes of data`);
    }
  }
}
