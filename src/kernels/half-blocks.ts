/**
 * Blocks of 16-bit floats without a search, as fast as JavaScript goes: every access to a typed array costs about ten
 * instructions, so elements are looked at where they lie, twice, and nothing is kept in between. Pure.
 */

/**
 * Extremes of `count` elements that lie `pitch` apart: the pattern of the largest in the upper 16 bits, that of the
 * smallest in the lower ones. Which of +0 and -0 is left open; NaN and infinity lie beyond every finite number. Patterns
 * are compared as integers of the order of the numbers, without branches: in random weights a branch on a new extreme is
 * mispredicted some seven times a block.
 * @param elements bit patterns
 */
export function extremesOfHalves(
  elements: Int16Array,
  first: number,
  pitch: number,
  count: number,
): number {
  let low = 0x7fff;
  let high = -0x8000;
  for (let i = 0, index = first; i < count; i++, index += pitch) {
    const key = orderHalf(elements[index] as number);
    const below = low - key;
    low = key + (below & (below >> 31));
    const above = high - key;
    high -= above & (above >> 31);
  }
  return (orderHalf(high) << 16) | (orderHalf(low) & 0xffff);
}

/** An integer in the order of the numbers that signed 16-bit patterns stand for; its own inverse. */
function orderHalf(pattern: number): number {
  return pattern ^ ((pattern >> 15) & 0x7fff);
}

/** What encodes a block: code = round(x * reciprocal + zeroPoint), limited to [0, 2^bits - 1]. */
export interface BlockCoder {
  /** Finite. */
  readonly reciprocal: number;
  readonly zeroPoint: number;
}

/**
 * Writes the codes of `count` elements that lie `pitch` apart, low bits first, from byte `to` on; gives the byte after
 * the last one. Bits of it that no element has are 0.
 * @param table what patterns mean
 */
export function encodeHalves(
  elements: Int16Array,
  table: Float32Array,
  first: number,
  pitch: number,
  count: number,
  bits: 2 | 4 | 8,
  coder: BlockCoder,
  codes: Uint8Array,
  to: number,
): number {
  const { reciprocal, zeroPoint } = coder;
  // An integer by construction: compared as a binary64 number, it would cost a sixth of the speed.
  const top = (1 << bits) - 1;
  const perByte = 8 / bits;
  const end = to + Math.floor(count / perByte);
  let index = first;
  let byte = to;
  if (bits === 8) {
    for (; byte < end; byte++, index += pitch) {
      codes[byte] = codeAt(elements, table, index, reciprocal, zeroPoint, top);
    }
  } else if (bits === 4) {
    for (; byte < end; byte++, index += pitch) {
      const low = codeAt(elements, table, index, reciprocal, zeroPoint, top);
      index += pitch;
      codes[byte] = low | (codeAt(elements, table, index, reciprocal, zeroPoint, top) << 4);
    }
  } else {
    for (; byte < end; byte++) {
      let packed = 0;
      for (let shift = 0; shift < 8; shift += 2, index += pitch) {
        packed |= codeAt(elements, table, index, reciprocal, zeroPoint, top) << shift;
      }
      codes[byte] = packed;
    }
  }
  const left = count % perByte;
  if (left === 0) return byte;
  let packed = 0;
  for (let i = 0; i < left; i++, index += pitch) {
    packed |= codeAt(elements, table, index, reciprocal, zeroPoint, top) << (i * bits);
  }
  codes[byte] = packed;
  return byte + 1;
}

/** The code of one element, whose position lies between -2^31 and 2^31. */
function codeAt(
  elements: Int16Array,
  table: Float32Array,
  index: number,
  reciprocal: number,
  zeroPoint: number,
  top: number,
): number {
  const value = table[(elements[index] as number) & 0xffff] as number;
  const code = (Math.fround(Math.fround(value * reciprocal) + zeroPoint) + 0.5) | 0;
  return code < 0 ? 0 : code > top ? top : code;
}
