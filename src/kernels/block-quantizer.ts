/**
 * One block of a weight: its scale and zero point, its codes, and where they go. Without a search this is ONNX
 * Runtime's own arithmetic (MlasQuantizeBlockwise on x86-64): each operation is one binary32 operation, rounded once,
 * in the order written. Unlike ONNX Runtime, which repeats older codes there, slots past the end of a channel hold 0.
 * Pure.
 */

import { FitSearch } from './fit-search.ts';
import { floatToBfloat16, floatToHalf, patternTable } from './float-types.ts';
import type { QuantizeParameters } from './kernel.ts';

/** What a block needs to know of its parameters. */
export type BlockFormat = Pick<
  QuantizeParameters,
  'method' | 'type' | 'bits' | 'blockSize' | 'symmetric' | 'k'
>;

/** Where a tile's results go: arrays that begin at its first channel and block, and bytes to the next channel. */
export interface QuantizeTarget {
  readonly codes: Uint8Array;
  readonly codesStride: number;
  readonly scales: Uint8Array;
  readonly scalesStride: number;
  /** Undefined when symmetric. */
  readonly zeroPoints: Uint8Array | undefined;
  readonly zeroPointsStride: number;
}

/**
 * The largest number below 0.5. For v in [0, 256) the integer part of the binary32 sum v + BELOW_HALF is v rounded to
 * nearest, halves up; with 0.5 itself, 0.49999997 would become 1.
 */
const BELOW_HALF = 0.5 - 2 ** -25;

/** Rounds binary32 v, clamped to [0, top], to nearest, halves away from zero. NaN becomes 0. */
function roundClamped(v: number, top: number): number {
  if (v >= top) return top;
  return v > 0 ? Math.fround(v + BELOW_HALF) | 0 : 0;
}

interface Extremes {
  low: number;
  high: number;
}

/** Extremes of the first `count` values; which of +0 and -0 is left open. False when a value is not finite. */
function findExtremes(values: Float32Array, count: number, into: Extremes): boolean {
  let low = values[0] as number;
  let high = low;
  // In binary64 a block of finite binary32 numbers cannot overflow; NaN or infinity stay in the sum.
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const value = values[i] as number;
    sum += value;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  into.low = low;
  into.high = high;
  return Number.isFinite(sum);
}

/** Quantizes blocks of one format to one target. */
export class BlockQuantizer {
  readonly #format: BlockFormat;
  readonly #target: QuantizeTarget;
  readonly #search: FitSearch | undefined;
  readonly #blob: number;
  readonly #top: number;
  readonly #middle: number;
  readonly #scales: DataView;
  readonly #extremes: Extremes = { low: 0, high: 0 };

  constructor(format: BlockFormat, target: QuantizeTarget) {
    this.#format = format;
    this.#target = target;
    this.#search = format.method === 'rtn' ? undefined : new FitSearch(format);
    this.#blob = (format.blockSize * format.bits) / 8;
    this.#top = 2 ** format.bits - 1;
    this.#middle = 2 ** (format.bits - 1);
    const { scales } = target;
    this.#scales = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  }

  /** Quantizes the first `count` of `values`. False when one of them is not finite. */
  quantize(values: Float32Array, count: number, channel: number, block: number): boolean {
    if (!findExtremes(values, count, this.#extremes)) return false;
    const fround = Math.fround;
    const top = this.#top;
    let { low, high } = this.#extremes;
    let range: number;
    let scale: number;
    let zeroPoint: number;
    if (this.#format.symmetric) {
      // An all-zero block takes the sign of its first zero, negated. Dividing by a power of two only scales.
      const peak = Math.abs(high) > Math.abs(low) ? high : low;
      range = -(peak === 0 ? (values[0] as number) : peak);
      scale = fround(range / this.#middle);
      zeroPoint = this.#middle;
    } else {
      low = low < 0 ? low : 0;
      high = high > 0 ? high : 0;
      range = fround(high - low);
      scale = fround(range / top);
      zeroPoint = roundClamped(scale !== 0 ? fround(0 - fround(low / scale)) : low, top);
    }
    const found = this.#search?.find(values, count, range, low);
    if (found !== undefined) {
      scale = found.scale;
      zeroPoint = found.zeroPoint;
    }
    this.#storeZeroPoint(channel, block, zeroPoint);
    const stored = this.#storeScale(channel, block, scale);
    const reciprocal = stored !== 0 ? fround(1 / stored) : 0;
    this.#encode(values, count, reciprocal, zeroPoint, channel, block);
    return true;
  }

  /** Codes, low bits first; slots without an element hold 0. */
  #encode(
    values: Float32Array,
    count: number,
    reciprocal: number,
    zeroPoint: number,
    channel: number,
    block: number,
  ): void {
    const fround = Math.fround;
    const top = this.#top;
    const { bits } = this.#format;
    const { codes } = this.#target;
    const first = channel * this.#target.codesStride + block * this.#blob;
    const perByte = 8 / bits;
    const bytes = Math.ceil(count / perByte);
    for (let byte = 0, i = 0; byte < bytes; byte++) {
      const end = Math.min(i + perByte, count);
      let packed = 0;
      for (let shift = 0; i < end; i++, shift += bits) {
        const position = fround(fround((values[i] as number) * reciprocal) + zeroPoint);
        packed |= roundClamped(position, top) << shift;
      }
      codes[first + byte] = packed;
    }
    if (bytes < this.#blob) codes.fill(0, first + bytes, first + this.#blob);
  }

  #storeScale(channel: number, block: number, scale: number): number {
    const { type } = this.#format;
    const offset = channel * this.#target.scalesStride + block * (type === 1 ? 4 : 2);
    if (type === 1) {
      this.#scales.setFloat32(offset, scale, true);
      return scale;
    }
    const pattern = type === 10 ? floatToHalf(scale) : floatToBfloat16(scale);
    this.#scales.setUint16(offset, pattern, true);
    return patternTable(type)[pattern] as number;
  }

  /** Sets one slot of a byte; where it is the first, the others become the middle code until their blocks come. */
  #storeZeroPoint(channel: number, block: number, zeroPoint: number): void {
    const { zeroPoints, zeroPointsStride } = this.#target;
    if (zeroPoints === undefined) return;
    const { bits } = this.#format;
    const shift = (block * bits) % 8;
    const index = channel * zeroPointsStride + Math.floor((block * bits) / 8);
    const others = shift === 0 ? this.#middle * (255 / this.#top) : (zeroPoints[index] as number);
    zeroPoints[index] = (others & ~(this.#top << shift)) | (zeroPoint << shift);
  }
}
