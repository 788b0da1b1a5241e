/**
 * The codes of one block from its elements, which lie in an array of this module between the steps. Of an array that a
 * function is given, V8 looks up what it is, how long and where, at every access: some ten instructions. Of a constant
 * it knows. Blocks are quantized one after another and without a pause, so that one such array does; its contents mean
 * nothing from one block to the next. Helpers are constants for the same reason.
 */

import type { HalfLayout } from './half-layout.ts';

const LARGEST_BLOCK = 256;
const values = new Float32Array(LARGEST_BLOCK);
const patterns = new Int32Array(values.buffer);

/** The larger of two integers without a branch: in random weights that would be mispredicted some seven times a block. */
const larger = (a: number, b: number): number => {
  const difference = (a - b) | 0;
  return (a - (difference & (difference >> 31))) | 0;
};

/**
 * Takes up `count` elements that lie `pitch` apart, divided by the layout's unit, and finds the extremes of zero and
 * them: gives the pattern of the largest in the upper 16 bits and that of the smallest in the lower ones. Which of +0 and
 * -0 an extreme of zero is, is left open; NaN and infinity lie beyond every finite number.
 * @param elements bit patterns of 16-bit floats
 */
export function takeHalves(
  elements: Int16Array,
  { factor, mask }: HalfLayout,
  first: number,
  pitch: number,
  count: number,
): number {
  // Patterns of positive numbers grow with them, as signed integers above all of negative ones; patterns of negative
  // numbers with their magnitude, as unsigned integers above all of positive ones.
  let high = 0;
  let low = 0x8000;
  let index = first | 0;
  let i = 0;
  // By four: the checks of `elements` are for all of them.
  for (; i < count - 3; i += 4) {
    const a = elements[index] as number;
    patterns[i] = Math.imul(a, factor) & mask;
    index = (index + pitch) | 0;
    const b = elements[index] as number;
    patterns[i + 1] = Math.imul(b, factor) & mask;
    index = (index + pitch) | 0;
    const c = elements[index] as number;
    patterns[i + 2] = Math.imul(c, factor) & mask;
    index = (index + pitch) | 0;
    const d = elements[index] as number;
    patterns[i + 3] = Math.imul(d, factor) & mask;
    index = (index + pitch) | 0;
    high = larger(high, larger(larger(a, b), larger(c, d)));
    low = larger(low, larger(larger(a & 0xffff, b & 0xffff), larger(c & 0xffff, d & 0xffff)));
  }
  for (; i < count; i++) {
    const a = elements[index] as number;
    index = (index + pitch) | 0;
    patterns[i] = Math.imul(a, factor) & mask;
    high = larger(high, a);
    low = larger(low, a & 0xffff);
  }
  return (high << 16) | low;
}

const BEYOND = 512;

/**
 * Replaces elements by where they lie among the codes, as ONNX Runtime computes it: x * reciprocal + zeroPoint, rounded
 * to binary32 twice. Infinity, which an infinite reciprocal gives, is cut to what an integer holds; minus infinity and
 * NaN are 0 as integers.
 * @param from elements that were not taken up
 */
export function placeAmongCodes(
  count: number,
  reciprocal: number,
  zeroPoint: number,
  from: Float32Array = values,
): void {
  for (let i = 0; i < count; i++) {
    const position = Math.fround(Math.fround((from[i] as number) * reciprocal) + zeroPoint);
    values[i] = position > BEYOND ? BEYOND : position;
  }
}

const codeAt = (i: number, factor: number, offset: number, top: number): number => {
  const code = ((values[i] as number) * factor + offset) | 0;
  return code < 0 ? 0 : code > top ? top : code;
};

/**
 * Writes the codes of the `count` elements, low bits first, from byte `to` on: x * factor + offset, cut to an integer and
 * limited to [0, 2^bits - 1]; NaN gives 0. Slots of the last byte that no element has hold 0.
 */
export function writeCodes(
  count: number,
  bits: 2 | 4 | 8,
  factor: number,
  offset: number,
  codes: Uint8Array,
  to: number,
): void {
  // An integer by construction: compared as a binary64 number, it would cost a sixth of the speed.
  const top = (1 << bits) - 1;
  let byte = to | 0;
  if (bits === 8) {
    for (let i = 0; i < count; i++, byte++) codes[byte] = codeAt(i, factor, offset, top);
  } else if (bits === 4) {
    for (let i = 0; i < count; i += 2, byte++) {
      const low = codeAt(i, factor, offset, top);
      codes[byte] = low | (codeAt(i + 1, factor, offset, top) << 4);
    }
  } else {
    for (let i = 0; i < count; i += 4, byte++) {
      const a = codeAt(i, factor, offset, top);
      const b = codeAt(i + 1, factor, offset, top);
      const c = codeAt(i + 2, factor, offset, top);
      const d = codeAt(i + 3, factor, offset, top);
      codes[byte] = a | (b << 2) | (c << 4) | (d << 6);
    }
  }
  const usedBits = (count * bits) % 8;
  if (usedBits !== 0) codes[byte - 1] = (codes[byte - 1] as number) & ((1 << usedBits) - 1);
}
