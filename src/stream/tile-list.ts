/**
 * Tiles in packed form: about 150 bytes each, in the layout the addon reads (native/program.cc). A 16 GB model has
 * thousands of tiles; as objects they would outweigh its graph. Pure.
 */

import type { Tile, TileInput, TileOutput } from './program.ts';
import type { TileSeries } from './tile-series.ts';

const HEADER = 8;
const INPUT = 5;
const OUTPUT = 2;

/** What follows from `first` and `second` for item `index`. */
function stepped(first: number, second: number | undefined, index: number): number {
  return first + index * ((second ?? first) - first);
}

/** An append-only list of tiles. Every number of a tile is an integer below 2^53. */
export class TileList {
  #words = new Float64Array(1024);
  #starts = new Uint32Array(64);
  #used = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Packed tiles: job, after, channels, elements, counts, then five numbers per input and two per output. */
  get words(): Float64Array {
    return this.#words.subarray(0, this.#used);
  }

  /** Index in `words` at which each tile starts. */
  get starts(): Uint32Array {
    return this.#starts.subarray(0, this.#length);
  }

  /** Appends tile `index` of a series, which waits for the first `after`. Makes no garbage: there are thousands. */
  push({ first, second }: TileSeries, index: number, after: number): void {
    const { inputs, outputs } = first;
    this.#reserve(HEADER + inputs.length * INPUT + outputs.length * OUTPUT);
    this.#starts[this.#length++] = this.#used;
    const words = this.#words;
    let at = this.#used;
    words[at++] = first.job;
    words[at++] = after;
    words[at++] = stepped(first.firstChannel, second.firstChannel, index);
    words[at++] = first.channels;
    words[at++] = stepped(first.firstElement, second.firstElement, index);
    words[at++] = first.elements;
    words[at++] = inputs.length;
    words[at++] = outputs.length;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i] as TileInput;
      words[at++] = input.file;
      words[at++] = stepped(input.byteOffset, second.inputs[i]?.byteOffset, index);
      words[at++] = input.segmentByteLength;
      words[at++] = input.segments;
      words[at++] = input.strideBytes;
    }
    for (let i = 0; i < outputs.length; i++) {
      const output = outputs[i] as TileOutput;
      words[at++] = output.file;
      words[at++] = stepped(output.byteOffset, second.outputs[i]?.byteOffset, index);
    }
    this.#used = at;
  }

  #reserve(size: number): void {
    if (this.#used + size > this.#words.length) {
      const larger = new Float64Array(Math.ceil(this.#words.length * 1.5) + size);
      larger.set(this.words);
      this.#words = larger;
    }
    if (this.#length === this.#starts.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#starts);
      this.#starts = larger;
    }
  }

  /** Job of the tile at `index`. */
  jobAt(index: number): number {
    return this.#words[this.#starts[index] ?? 0] ?? 0;
  }

  /** The tile at `index`, unpacked. */
  at(index: number): Tile {
    if (!(index >= 0 && index < this.#length)) throw new RangeError(`no tile ${index}`);
    let position = this.#starts[index] ?? 0;
    const next = () => this.#words[position++] ?? 0;
    const head = [next(), next(), next(), next(), next(), next()] as const;
    const [job, after, firstChannel, channels, firstElement, elements] = head;
    const inputCount = next();
    const outputCount = next();
    const inputs: TileInput[] = [];
    for (let i = 0; i < inputCount; i++) {
      const [file, byteOffset, segmentByteLength] = [next(), next(), next()];
      const [segments, strideBytes] = [next(), next()];
      inputs.push({ file, byteOffset, segmentByteLength, segments, strideBytes });
    }
    const outputs: TileOutput[] = [];
    for (let i = 0; i < outputCount; i++) outputs.push({ file: next(), byteOffset: next() });
    return { job, after, firstChannel, channels, firstElement, elements, inputs, outputs };
  }
}
