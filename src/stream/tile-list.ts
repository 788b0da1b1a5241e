/**
 * Tiles in packed form, in the layout the addon reads (native/program.cc): the first two tiles of each series, and for
 * every tile its series, its index there and what it waits for, 12 bytes. A 16 GB model has ten thousand tiles. Pure.
 */

import { withLength } from '../bytes.ts';
import type { Tile, TileInput, TileOutput, UnorderedTile } from './program.ts';
import type { TileSeries } from './tile-series.ts';

const HEADER = 7;
const INPUT = 5;
const OUTPUT = 2;

/** Where the numbers of inputs and outputs are in a header. */
const INPUT_COUNT = 5;
const OUTPUT_COUNT = 6;

const TILE = 3;

/** An append-only list of tiles. Every number of a tile is an integer below 2^53. */
export class TileList {
  #words = new Float64Array(1024);
  #used = 0;
  #starts = new Uint32Array(64);
  #seriesCount = 0;
  #tiles = new Uint32Array(TILE * 256);
  #length = 0;
  /** Numbers of the series that have tiles to come. */
  readonly #open = new Map<TileSeries, number>();

  get length(): number {
    return this.#length;
  }

  /**
   * Packed series, each its first tile and then its second one: job, first channel, channels, first element, elements,
   * how many inputs and outputs, five numbers per input, two per output.
   */
  get words(): Float64Array {
    return this.#words.subarray(0, this.#used);
  }

  /** Index in `words` at which each series starts. */
  get starts(): Uint32Array {
    return this.#starts.subarray(0, this.#seriesCount);
  }

  /** Of each tile the number of its series, its index there, and how many tiles it waits for. */
  get tiles(): Uint32Array {
    return this.#tiles.subarray(0, TILE * this.#length);
  }

  /** Appends tile `index` of a series, which waits for the first `after`. The tiles of a series come in their order. */
  push(series: TileSeries, index: number, after: number): void {
    const number = index === 0 ? this.#addSeries(series) : (this.#open.get(series) ?? 0);
    if (index === series.count - 1) this.#open.delete(series);
    const at = TILE * this.#length++;
    if (at === this.#tiles.length) this.#tiles = withLength(this.#tiles, 2 * at);
    this.#tiles[at] = number;
    this.#tiles[at + 1] = index;
    this.#tiles[at + 2] = after;
  }

  #addSeries(series: TileSeries): number {
    const number = this.#seriesCount++;
    if (number === this.#starts.length) this.#starts = withLength(this.#starts, 2 * number);
    this.#starts[number] = this.#used;
    this.#addTile(series.first);
    this.#addTile(series.second);
    this.#open.set(series, number);
    return number;
  }

  #addTile({ inputs, outputs, ...tile }: UnorderedTile): void {
    const size = HEADER + inputs.length * INPUT + outputs.length * OUTPUT;
    if (this.#used + size > this.#words.length) {
      this.#words = withLength(this.#words, 2 * this.#words.length + size);
    }
    const { job, firstChannel, channels, firstElement, elements } = tile;
    const words = this.#words;
    words.set([job, firstChannel, channels, firstElement, elements], this.#used);
    words[this.#used + INPUT_COUNT] = inputs.length;
    words[this.#used + OUTPUT_COUNT] = outputs.length;
    let at = this.#used + HEADER;
    for (const { file, byteOffset, segmentByteLength, segments, strideBytes } of inputs) {
      words.set([file, byteOffset, segmentByteLength, segments, strideBytes], at);
      at += INPUT;
    }
    for (const { file, byteOffset } of outputs) {
      words.set([file, byteOffset], at);
      at += OUTPUT;
    }
    this.#used = at;
  }

  /** Job of the tile at `index`. */
  jobAt(index: number): number {
    return this.#words[this.#starts[this.#tiles[TILE * index] ?? 0] ?? 0] ?? 0;
  }

  /** The tile at `index`, unpacked. */
  at(index: number): Tile {
    if (!(index >= 0 && index < this.#length)) throw new RangeError(`no tile ${index}`);
    const [series = 0, step = 0, after = 0] = this.#tiles.subarray(TILE * index);
    let position = this.#starts[series] ?? 0;
    const inputCount = this.#words[position + INPUT_COUNT] ?? 0;
    const outputCount = this.#words[position + OUTPUT_COUNT] ?? 0;
    const size = HEADER + inputCount * INPUT + outputCount * OUTPUT;
    const next = () => {
      const first = this.#words[position] ?? 0;
      const second = this.#words[position++ + size] ?? 0;
      return first + step * (second - first);
    };
    const [job, firstChannel, channels, firstElement] = [next(), next(), next(), next()];
    const elements = next();
    position += HEADER - INPUT_COUNT;
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
