/** Numbers as the element types of weights store them. Pure. */

/** @typedef {import('./options.mjs').WeightType} WeightType */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Smallest normal fp16 number; below it fp16 counts in steps of 2^-24. */
const FP16_SMALLEST_NORMAL = 2 ** -14;

/**
 * The fp16 bits nearest to `value`, ties to even, for finite values below the largest fp16.
 * @param {number} value
 */
function fp16Bits(value) {
  float[0] = value;
  const word = /** @type {number} */ (bits[0]);
  const sign = (word >>> 16) & 0x8000;
  if (Math.abs(value) < FP16_SMALLEST_NORMAL) {
    // Adding 1.5 * 2^23 leaves the rounded multiple of 2^-24 in the low bits of the float.
    float[0] = Math.abs(value) * 2 ** 24 + 1.5 * 2 ** 23;
    const low = /** @type {number} */ (bits[0]);
    return sign | (low & 0xffff);
  }
  const magnitude = word & 0x7fffffff;
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  // The exponent bias goes from 127 to 15.
  return sign | ((rounded >>> 13) - (112 << 10));
}

/**
 * The bf16 bits nearest to `value`, ties to even, for finite values.
 * @param {number} value
 */
function bf16Bits(value) {
  float[0] = value;
  const word = /** @type {number} */ (bits[0]);
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/**
 * Stores `length` values in `dtype`, little-endian as ONNX wants it on every machine this tool runs on.
 * @param {WeightType} dtype
 * @param {number} length
 * @param {(index: number) => number} valueAt
 * @returns {Uint8Array}
 */
export function encodeValues(dtype, length, valueAt) {
  if (dtype === 'fp32') {
    const floats = new Float32Array(length);
    for (let index = 0; index < length; index++) floats[index] = valueAt(index);
    return new Uint8Array(floats.buffer);
  }
  const toBits = dtype === 'fp16' ? fp16Bits : bf16Bits;
  const words = new Uint16Array(length);
  for (let index = 0; index < length; index++) words[index] = toBits(valueAt(index));
  return new Uint8Array(words.buffer);
}
