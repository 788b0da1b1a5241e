/** What Olive's methods share: roundings, and putting the results of a block in their places. Pure. */

import type { BlockFormat, QuantizeTarget } from './block-quantizer.ts';
import {
  floatByteLength,
  floatToBfloat16,
  floatToHalf,
  patternTable,
  quantizableLimit,
} from './float-types.ts';
import type { FloatTypeCode, OliveMethod } from './kernel.ts';

/** A block format with one of Olive's methods. */
export interface OliveFormat extends BlockFormat {
  readonly method: OliveMethod;
}

/** Rounds to the nearest whole number, ties to even; NaN and infinities stay. Beyond 2^51 results are near. */
export function roundEven(value: number): number {
  const shift = 1.5 * 2 ** 52;
  return value + shift - shift;
}

/** Limits a number to [low, high]; NaN stays. */
export function clip(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}

/** The bit pattern that stores a binary32 value as a 16-bit type. */
function patternOf(type: 10 | 16, value: number): number {
  return type === 10 ? floatToHalf(value) : floatToBfloat16(value);
}

/** A function that rounds to a type, once from binary32. */
export function roundingTo(type: FloatTypeCode): (value: number) => number {
  if (type === 1) return Math.fround;
  const table = patternTable(type);
  return (value) => table[patternOf(type, Math.fround(value))] as number;
}

/** True when the first `count` of `values`, elements of a type, can all be quantized ({@link quantizableLimit}). */
export function areQuantizable(type: FloatTypeCode, values: Float32Array, count: number): boolean {
  const limit = quantizableLimit(type);
  for (let i = 0; i < count; i++) if (!(Math.abs(values[i] as number) < limit)) return false;
  return true;
}

/** Puts the results of blocks where a tile's target wants them. */
export class BlockWriter {
  readonly #type: FloatTypeCode;
  readonly #bits: number;
  readonly #blob: number;
  readonly #padding: number;
  readonly #target: QuantizeTarget;
  readonly #scales: DataView;

  /** @param paddingZeroPoint what the unused slots of a channel's last byte of zero points hold */
  constructor(format: OliveFormat, target: QuantizeTarget, paddingZeroPoint: number) {
    this.#type = format.type;
    this.#bits = format.bits;
    this.#blob = (format.blockSize * format.bits) / 8;
    this.#padding = paddingZeroPoint;
    this.#target = target;
    const { scales } = target;
    this.#scales = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  }

  scale(channel: number, block: number, value: number): void {
    const type = this.#type;
    const offset = channel * this.#target.scalesStride + block * floatByteLength(type);
    if (type === 1) this.#scales.setFloat32(offset, value, true);
    else this.#scales.setUint16(offset, patternOf(type, value), true);
  }

  zeroPoint(channel: number, block: number, value: number): void {
    const { zeroPoints, zeroPointsStride } = this.#target;
    if (zeroPoints === undefined) return;
    const first = channel * zeroPointsStride;
    if (this.#bits === 8) zeroPoints[first + block] = value;
    else if (block % 2 === 0) zeroPoints[first + block / 2] = (this.#padding << 4) | value;
    else {
      const index = first + (block - 1) / 2;
      zeroPoints[index] = ((zeroPoints[index] as number) & 0x0f) | (value << 4);
    }
  }

  /** The first `count` of `codes`, low bits first; the last byte's slot without a code holds 0. */
  codes(channel: number, block: number, values: Uint8Array, count: number): void {
    const { codes, codesStride } = this.#target;
    const first = channel * codesStride + block * this.#blob;
    if (this.#bits === 8) {
      codes.set(values.subarray(0, count), first);
      return;
    }
    for (let i = 0; i < count; i += 2) {
      const high = i + 1 < count ? (values[i + 1] as number) : 0;
      codes[first + i / 2] = (values[i] as number) | (high << 4);
    }
  }
}
