/**
 * Elements of floating-point tensors as numbers and back. fp16 and bf16 travel as their 16-bit patterns in a
 * Uint16Array; rounding is to nearest, ties to even. Pure.
 */

import { FormatError } from '../errors.ts';
import type { FloatTypeCode } from './kernel.ts';

/** Bytes of one element. */
export function floatByteLength(type: FloatTypeCode): 2 | 4 {
  return type === 1 ? 4 : 2;
}

/** Smallest positive normal number of a type. */
export function smallestNormal(type: FloatTypeCode): number {
  return type === 10 ? 2 ** -14 : 2 ** -126;
}

/**
 * Elements from this magnitude on cannot be quantized: the range of a block, largest less smallest, might exceed binary32
 * and its scale be infinite. Of fp16 that is only infinity itself.
 */
export function quantizableLimit(type: FloatTypeCode): number {
  return type === 10 ? Number.POSITIVE_INFINITY : 2 ** 127;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function readFloat(pattern: number): number {
  bits[0] = pattern;
  return float[0] as number;
}

function readBits(value: number): number {
  float[0] = value;
  return bits[0] as number;
}

/** The number an fp16 bit pattern stands for. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (0x400 + fraction) * 2 ** (exponent - 25);
}

/** The fp16 bit pattern nearest to a binary32 value. 65520 and above give infinity; NaN gives 0x7e00. */
export function floatToHalf(value: number): number {
  const pattern = readBits(value);
  const sign = (pattern >>> 16) & 0x8000;
  const magnitude = pattern & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  }
  // Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded by the addition.
  return sign | (readBits(Math.fround(readFloat(magnitude) + 0.5)) - 0x3f000000);
}

/** The number a bf16 bit pattern stands for. */
export function bfloat16ToFloat(pattern: number): number {
  return readFloat((pattern << 16) >>> 0);
}

/** The bf16 bit pattern nearest to a binary32 value; NaN gives 0x7fc0. */
export function floatToBfloat16(value: number): number {
  const pattern = readBits(value);
  if ((pattern & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16) & 0xffff;
}

/** A table of what each of the 65,536 patterns means: 256 KiB, made on first use. */
function decodeTable(decode: (pattern: number) => number): () => Float32Array {
  let table: Float32Array | undefined;
  return () => {
    table ??= Float32Array.from({ length: 0x10000 }, (_, pattern) => decode(pattern));
    return table;
  };
}

const halfTable = decodeTable(halfToFloat);
const bfloat16Table = decodeTable(bfloat16ToFloat);

/** What the bit patterns of a 16-bit type mean, indexed by pattern. Shared: do not write to it. */
export function patternTable(type: 10 | 16): Float32Array {
  return type === 10 ? halfTable() : bfloat16Table();
}

/**
 * Little-endian elements of a tensor as the typed array that holds their patterns: Float32Array for fp32, Uint16Array
 * otherwise. Shares the bytes when they are aligned, else copies them. Throws a FormatError when the byte length is
 * not a multiple of the element's.
 */
export function floatElements(type: FloatTypeCode, bytes: Uint8Array): Float32Array | Uint16Array {
  const elementBytes = floatByteLength(type);
  if (bytes.byteLength % elementBytes !== 0) {
    throw new FormatError(
      'ERR_TENSOR',
      `${bytes.byteLength} bytes are not a whole number of ${elementBytes}-byte elements`,
    );
  }
  // Not `slice`: that of a Buffer shares its bytes.
  const aligned = bytes.byteOffset % elementBytes === 0 ? bytes : new Uint8Array(bytes);
  const count = bytes.byteLength / elementBytes;
  return type === 1
    ? new Float32Array(aligned.buffer, aligned.byteOffset, count)
    : new Uint16Array(aligned.buffer, aligned.byteOffset, count);
}

/** Reads element `index` of what {@link floatElements} returned. */
export type ElementReader = (index: number) => number;

/** A reader of single elements, for loops where speed does not matter. */
export function elementReader(type: FloatTypeCode, bytes: Uint8Array): ElementReader {
  const elements = floatElements(type, bytes);
  if (type === 1) return (index) => elements[index] as number;
  const table = patternTable(type);
  return (index) => table[elements[index] as number] as number;
}

/** Encodes numbers as little-endian elements of a type, each rounded once from binary32. */
export function encodeFloats(type: FloatTypeCode, values: ArrayLike<number>): Uint8Array {
  if (type === 1) return new Uint8Array(Float32Array.from(values).buffer);
  const encode = type === 10 ? floatToHalf : floatToBfloat16;
  return new Uint8Array(Uint16Array.from(values, (value) => encode(value)).buffer);
}

/** Decodes little-endian elements of a type to binary32. */
export function decodeFloats(type: FloatTypeCode, bytes: Uint8Array): Float32Array {
  const elements = floatElements(type, bytes);
  if (elements instanceof Float32Array) return Float32Array.from(elements);
  const table = patternTable(type as 10 | 16);
  return Float32Array.from(elements, (pattern) => table[pattern] as number);
}
