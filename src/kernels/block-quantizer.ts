/**
 * One block of a weight: its scale and zero point, its codes, and where they go. Without a search this is ONNX
 * Runtime's own arithmetic (MlasQuantizeBlockwise on x86-64): each operation is one binary32 operation, rounded once,
 * in the order written. Unlike ONNX Runtime, which repeats older codes there, slots past the end of a channel hold 0.
 * Pure.
 */

import { FitSearch } from './fit-search.ts';
import { floatToBfloat16, floatToHalf, patternTable, quantizableLimit } from './float-types.ts';
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

/** Rounds v, clamped to [0, top], to nearest, halves up: in binary64 the sum is exact. NaN becomes 0. */
function roundClamped(v: number, top: number): number {
  if (v >= top) return top;
  return v > 0 ? (v + 0.5) | 0 : 0;
}

interface Extremes {
  low: number;
  high: number;
}

/** Extremes of the first `count` values; which of +0 and -0 is left open. False when one is NaN. */
function findExtremes(values: Float32Array, count: number, into: Extremes): boolean {
  let low = values[0] as number;
  let high = low;
  // In binary64 a block of finite binary32 numbers cannot overflow; NaN stays in the sum.
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const value = values[i] as number;
    sum += value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  into.low = low;
  into.high = high;
  return !Number.isNaN(sum);
}

/** Quantizes blocks of one format to one target. */
export class BlockQuantizer {
  readonly #format: BlockFormat;
  readonly #target: QuantizeTarget;
  readonly #search: FitSearch | undefined;
  readonly #blob: number;
  readonly #top: number;
  readonly #middle: number;
  /** A byte of zero points, all in the middle. */
  readonly #middles: number;
  readonly #scales: DataView;
  readonly #extremes: Extremes = { low: 0, high: 0 };
  readonly #chosen = { reciprocal: 0.5, zeroPoint: 0 };
  readonly #limit: number;

  constructor(format: BlockFormat, target: QuantizeTarget) {
    this.#format = format;
    this.#target = target;
    this.#search = format.method === 'rtn' ? undefined : new FitSearch(format);
    this.#blob = (format.blockSize * format.bits) / 8;
    this.#top = (1 << format.bits) - 1;
    this.#middle = 1 << (format.bits - 1);
    this.#middles = this.#middle * (255 / this.#top);
    this.#limit = quantizableLimit(format.type);
    const { scales } = target;
    this.#scales = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  }

  /** Quantizes the first `count` of `values`. False when one of them cannot be: NaN, infinity, too large. */
  quantize(values: Float32Array, count: number, channel: number, block: number): boolean {
    const extremes = this.#extremes;
    if (!findExtremes(values, count, extremes)) return false;
    const { low, high } = extremes;
    if (!(low > -this.#limit && high < this.#limit)) return false;
    this.#choose(low, high, values, count, channel, block);
    this.#encode(values, count, channel, block);
    return true;
  }

  /** Chooses and stores scale and zero point from the extremes, or by a search. */
  #choose(
    lowest: number,
    highest: number,
    values: Float32Array,
    count: number,
    channel: number,
    block: number,
  ): void {
    const fround = Math.fround;
    const top = this.#top;
    const low = lowest < 0 ? lowest : 0;
    const high = highest > 0 ? highest : 0;
    let range: number;
    let scale: number;
    let zeroPoint = this.#middle;
    if (this.#format.symmetric) {
      // An all-zero block takes the sign of its first zero, negated. Dividing by a power of two only scales.
      const peak = high > -low ? high : low;
      range = -(peak === 0 ? (values[0] as number) : peak);
      scale = fround(range / zeroPoint);
    } else {
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
    const chosen = this.#chosen;
    chosen.reciprocal = stored !== 0 ? fround(1 / stored) : 0;
    chosen.zeroPoint = zeroPoint;
  }

  /** Codes, low bits first; slots without an element hold 0. */
  #encode(values: Float32Array, count: number, channel: number, block: number): void {
    const { codes, codesStride } = this.#target;
    const { bits } = this.#format;
    const { reciprocal, zeroPoint } = this.#chosen;
    const start = channel * codesStride + block * this.#blob;
    codes.fill(0, start, start + this.#blob);
    for (let i = 0; i < count; i++) {
      const position = Math.fround(Math.fround((values[i] as number) * reciprocal) + zeroPoint);
      const at = start + ((i * bits) >> 3);
      const code = roundClamped(position, this.#top);
      codes[at] = (codes[at] as number) | (code << ((i * bits) & 7));
    }
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
    const bit = block * this.#format.bits;
    const shift = bit & 7;
    const index = channel * zeroPointsStride + (bit >> 3);
    const others = shift === 0 ? this.#middles : (zeroPoints[index] as number);
    zeroPoints[index] = (others & ~(this.#top << shift)) | (zeroPoint << shift);
  }
}
