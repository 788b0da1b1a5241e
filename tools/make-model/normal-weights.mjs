/**
 * Pseudo-random normal weights at the speed of writing: one block of a million values is drawn, stored at a few
 * scales, and every tensor tiles one of them from a place of its own. The block's length is prime, so no row of a
 * matrix repeats at the same place of another tile.
 */

import { encodeValues } from './float-bits.mjs';
import { elementBytes } from './shape.mjs';

/** @typedef {import('./options.mjs').WeightType} WeightType */

/** The largest prime below 2^20. */
const BLOCK_ELEMENTS = 1_048_573;

/** Bytes written at a time; larger pieces are slower on some kernels. */
export const PIECE_BYTES = 256 * 1024;

/** Standard deviation of weights; scales spread around it. */
const STANDARD_DEVIATION = 0.02;
const SCALES = [0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4];

/**
 * xoshiro128** seeded through splitmix32, both of the public domain: uniform 32-bit integers.
 * @param {number} seed
 */
function integersFrom(seed) {
  let mixed = seed >>> 0;
  const next = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0;
    let word = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return (word ^ (word >>> 15)) >>> 0;
  };
  let [a, b, c, d] = [next(), next(), next(), next()];
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
}

/**
 * `length` standard normal values by Marsaglia's polar method.
 * @param {number} length
 * @param {number} seed
 */
export function normalValues(length, seed) {
  const integer = integersFrom(seed);
  const uniform = () => integer() * 2 ** -31 - 1;
  const values = new Float32Array(length);
  for (let index = 0; index < length; ) {
    const x = uniform();
    const y = uniform();
    const square = x * x + y * y;
    if (square >= 1 || square === 0) continue;
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    values[index++] = x * factor;
    if (index < length) values[index++] = y * factor;
  }
  return values;
}

/**
 * FNV-1a of a name, mixed with the seed: where in the block a tensor starts, and which scale it has.
 * @param {string} name
 * @param {number} seed
 */
function hash(name, seed) {
  let word = 0x811c9dc5 ^ seed;
  for (let index = 0; index < name.length; index++) {
    word = Math.imul(word ^ name.charCodeAt(index), 0x01000193);
  }
  return integersFrom(word)();
}

/** Where the bytes of tensors come from. Memory: the block in fp32 and once per scale met, at most 40 MB. */
export class NormalWeights {
  /** @type {Map<number, Uint8Array>} */
  #blocks = new Map();
  /** @type {Float32Array | undefined} */
  #values;

  /**
   * @param {WeightType} dtype
   * @param {number} seed
   */
  constructor(dtype, seed) {
    this.dtype = dtype;
    this.seed = seed;
    this.blockBytes = BLOCK_ELEMENTS * elementBytes(dtype);
  }

  /**
   * The block at a scale, followed by its own beginning so that a piece never wraps.
   * @param {number} scale
   */
  #blockAt(scale) {
    const known = this.#blocks.get(scale);
    if (known !== undefined) return known;
    this.#values ??= normalValues(BLOCK_ELEMENTS, this.seed);
    const values = this.#values;
    const factor = scale * STANDARD_DEVIATION;
    const length = BLOCK_ELEMENTS + PIECE_BYTES / elementBytes(this.dtype);
    const block = encodeValues(
      this.dtype,
      length,
      (index) => factor * /** @type {number} */ (values[index % BLOCK_ELEMENTS]),
    );
    this.#blocks.set(scale, block);
    return block;
  }

  /**
   * The bytes of a tensor, in pieces of at most 256 KiB that are views of shared memory.
   * @param {string} name
   * @param {number} byteLength
   */
  *pieces(name, byteLength) {
    const word = hash(name, this.seed);
    const block = this.#blockAt(/** @type {number} */ (SCALES[word % SCALES.length]));
    let start = ((word >>> 3) % BLOCK_ELEMENTS) * elementBytes(this.dtype);
    for (let done = 0; done < byteLength; ) {
      const length = Math.min(PIECE_BYTES, byteLength - done);
      yield block.subarray(start, start + length);
      start = (start + length) % this.blockBytes;
      done += length;
    }
  }
}
