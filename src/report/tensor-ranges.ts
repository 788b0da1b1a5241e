/** Byte ranges of tensors, as numbers: a model may have a million. Pure. */

import { withLength } from '../bytes.ts';
import type { FileRange, SourceFile } from '../model/tensor-data.ts';

const FIRST_CAPACITY = 256;

/** Where the value of a tensor is: nowhere it can be read from, in its message, or in a range of a file. */
export const TensorSource = { NONE: 0, MEMORY: 1, RANGE: 2 } as const;

/** One of {@link TensorSource}. */
export type TensorSourceCode = (typeof TensorSource)[keyof typeof TensorSource];

/** Where the values of tensors are, by their number. Memory: a byte a tensor. */
export class TensorSources {
  #codes = new Uint8Array(FIRST_CAPACITY);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(source: TensorSourceCode): void {
    if (this.#count === this.#codes.length) {
      this.#codes = withLength(this.#codes, 2 * this.#count);
    }
    this.#codes[this.#count++] = source;
  }

  get(index: number): TensorSourceCode {
    return this.#codes[index] as TensorSourceCode;
  }

  /** How many are at a kind of place. */
  countOf(source: TensorSourceCode): number {
    let count = 0;
    for (const code of this.#codes.subarray(0, this.#count)) if (code === source) count++;
    return count;
  }
}

/** Ranges in the order they were added. Memory: 24 bytes each, and 4 more to sort them. */
export class TensorRanges {
  readonly #files: SourceFile[] = [];
  #fileNumbers = new Int32Array(FIRST_CAPACITY);
  #names = new Int32Array(FIRST_CAPACITY);
  #offsets = new Float64Array(FIRST_CAPACITY);
  #lengths = new Float64Array(FIRST_CAPACITY);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds the range of a tensor whose name has this number. */
  add({ file, byteOffset, byteLength }: Omit<FileRange, 'kind'>, name: number): void {
    if (this.#count === this.#names.length) this.#grow();
    const index = this.#count++;
    const known = this.#files.indexOf(file);
    this.#fileNumbers[index] = known >= 0 ? known : this.#files.push(file) - 1;
    this.#names[index] = name;
    this.#offsets[index] = byteOffset;
    this.#lengths[index] = byteLength;
  }

  #grow(): void {
    const capacity = 2 * this.#count;
    const [fileNumbers, names] = [new Int32Array(capacity), new Int32Array(capacity)];
    const [offsets, lengths] = [new Float64Array(capacity), new Float64Array(capacity)];
    fileNumbers.set(this.#fileNumbers);
    names.set(this.#names);
    offsets.set(this.#offsets);
    lengths.set(this.#lengths);
    this.#fileNumbers = fileNumbers;
    this.#names = names;
    this.#offsets = offsets;
    this.#lengths = lengths;
  }

  /** Range `index`. */
  range(index: number): FileRange {
    return {
      kind: 'range',
      file: this.#files[this.#fileNumbers[index] as number] as SourceFile,
      byteOffset: this.#offsets[index] as number,
      byteLength: this.#lengths[index] as number,
    };
  }

  /** Number of the name of the tensor of range `index`. */
  name(index: number): number {
    return this.#names[index] as number;
  }

  /** Whether two ranges are the same bytes. */
  isSame(a: number, b: number): boolean {
    return this.#compare(a, b) === 0;
  }

  #compare(a: number, b: number): number {
    return (
      (this.#fileNumbers[a] as number) - (this.#fileNumbers[b] as number) ||
      (this.#offsets[a] as number) - (this.#offsets[b] as number) ||
      (this.#lengths[a] as number) - (this.#lengths[b] as number)
    );
  }

  /** The ranges in the order of their bytes, file by file; equal ones follow each other in the order added. */
  inFileOrder(): Uint32Array {
    return Uint32Array.from({ length: this.#count }, (_, index) => index).sort(
      (a, b) => this.#compare(a, b) || a - b,
    );
  }
}
