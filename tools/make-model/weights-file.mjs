/** The data file: where each weight lies in it, and writing it without holding it. */

import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { encodeValues } from './float-bits.mjs';
import { NormalWeights, normalValues } from './normal-weights.mjs';
import { elementBytes } from './shape.mjs';

/** @typedef {import('./options.mjs').WeightType} WeightType */
/** @typedef {import('./graph.mjs').Weight} Weight */

/**
 * A weight and its place: a range of the data file, or inline when `byteOffset` is undefined.
 * @typedef {object} PlacedWeight
 * @property {Weight} weight
 * @property {number | undefined} byteOffset
 * @property {number} byteLength
 */

/** Exporters keep weights below this inline. */
const INLINE_BELOW_BYTES = 1024;
/** From this size on a weight starts at a page. */
const PAGE_ALIGNED_FROM_BYTES = 2 ** 20;
const PAGE_BYTES = 4096;
const SMALL_ALIGNMENT_BYTES = 64;

/** Rotary base that most decoders use. */
const ROTARY_THETA = 10000;

/**
 * Places the weights as exporters do: small ones first, the largest last.
 * @param {readonly Weight[]} weights
 * @param {WeightType} dtype
 * @returns {{ placed: PlacedWeight[], byteLength: number }} `placed` in the order of `weights`.
 */
export function placeWeights(weights, dtype) {
  /** @type {PlacedWeight[]} */
  const placed = weights.map((weight) => {
    const byteLength = weight.dims.reduce((product, dim) => product * dim, elementBytes(dtype));
    return { weight, byteOffset: undefined, byteLength };
  });
  const external = placed.filter(({ byteLength }) => byteLength >= INLINE_BELOW_BYTES);
  external.sort((a, b) => a.byteLength - b.byteLength);
  let end = 0;
  for (const place of external) {
    const alignment =
      place.byteLength >= PAGE_ALIGNED_FROM_BYTES ? PAGE_BYTES : SMALL_ALIGNMENT_BYTES;
    place.byteOffset = Math.ceil(end / alignment) * alignment;
    end = place.byteOffset + place.byteLength;
  }
  return { placed, byteLength: end };
}

/**
 * All bytes of a weight that is not `normal`: small enough to hold.
 * @param {Weight} weight
 * @param {WeightType} dtype
 * @param {number} seed
 */
function smallWeightBytes({ dims, kind }, dtype, seed) {
  const [rows = 0, columns = 1] = dims;
  if (kind === 'norm') {
    const noise = normalValues(rows, seed);
    return encodeValues(dtype, rows, (index) => 1 + 0.05 * /** @type {number} */ (noise[index]));
  }
  const wave = kind === 'cosines' ? Math.cos : Math.sin;
  return encodeValues(dtype, rows * columns, (index) => {
    const position = Math.floor(index / columns);
    return wave(position * ROTARY_THETA ** (-(index % columns) / columns));
  });
}

/** The bytes of every weight of a model, the same for the same seed. */
export class WeightBytes {
  /**
   * @param {WeightType} dtype
   * @param {number} seed
   */
  constructor(dtype, seed) {
    this.dtype = dtype;
    this.seed = seed;
    this.normal = new NormalWeights(dtype, seed);
  }

  /**
   * @param {PlacedWeight} place
   * @returns {Iterable<Uint8Array>} Pieces of at most 256 KiB for `normal` weights, else one.
   */
  pieces({ weight, byteLength }) {
    return weight.kind === 'normal'
      ? this.normal.pieces(weight.name, byteLength)
      : [smallWeightBytes(weight, this.dtype, this.seed)];
  }
}

/**
 * Creates the data file at `path`, which must not exist; with `sparse` it is one hole.
 * @param {string} path
 * @param {{ placed: readonly PlacedWeight[], byteLength: number }} plan
 * @param {WeightBytes} bytes
 * @param {boolean} sparse
 */
export function writeWeightsFile(path, { placed, byteLength }, bytes, sparse) {
  const file = openSync(path, 'wx');
  try {
    ftruncateSync(file, byteLength);
    if (sparse) return;
    for (const place of placed) {
      if (place.byteOffset === undefined) continue;
      let position = place.byteOffset;
      for (const piece of bytes.pieces(place)) position += writeFully(file, piece, position);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * @param {number} file
 * @param {Uint8Array} piece
 * @param {number} position
 */
function writeFully(file, piece, position) {
  for (let done = 0; done < piece.length; ) {
    done += writeSync(file, piece, done, piece.length - done, position + done);
  }
  return piece.length;
}
