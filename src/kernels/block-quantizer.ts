/**
 * One block of a weight: its scale and zero point, its codes, and where they go. Without a search this is ONNX
 * Runtime's own arithmetic (MlasQuantizeBlockwise on x86-64): each operation is one binary32 operation, rounded once,
 * in the order written. Unlike ONNX Runtime, which repeats older codes there, slots past the end of a channel hold 0.
 * Pure.
 */

import { FitSearch } from './fit-search.ts';
import { floatToBfloat16, floatToHalf, patternTable, quantizableLimit } from './float-types.ts';
import { encodeHalves, extremesOfHalves } from './half-blocks.ts';
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

/** The code of an element. */
function codeOf(value: number, reciprocal: number, zeroPoint: number, top: number): number {
  return roundClamped(Math.fround(Math.fround(value * reciprocal) + zeroPoint), top);
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
  readonly #scales: DataView;
  readonly #extremes: Extremes = { low: 0, high: 0 };
  readonly #coder = { reciprocal: 0.5, zeroPoint: 0.5 };
  /** What the patterns of a 16-bit type mean; empty for fp32. */
  readonly #table: Float32Array;
  readonly #limit: number;

  constructor(format: BlockFormat, target: QuantizeTarget) {
    this.#format = format;
    this.#target = target;
    this.#search = format.method === 'rtn' ? undefined : new FitSearch(format);
    this.#blob = (format.blockSize * format.bits) / 8;
    this.#top = 2 ** format.bits - 1;
    this.#middle = 2 ** (format.bits - 1);
    this.#table = format.type === 1 ? new Float32Array(0) : patternTable(format.type);
    this.#limit = quantizableLimit(format.type);
    const { scales } = target;
    this.#scales = new DataView(scales.buffer, scales.byteOffset, scales.byteLength);
  }

  /** Quantizes the first `count` of `values`. False when one of them cannot be: NaN, infinity, too large. */
  quantize(values: Float32Array, count: number, channel: number, block: number): boolean {
    if (!findExtremes(values, count, this.#extremes) || !this.#isInRange()) return false;
    this.#choose(values[0] as number, channel, block, values, count);
    this.#encode(values, count, channel, block);
    return true;
  }

  /**
   * Quantizes `count` elements of a 16-bit type that lie `pitch` apart, without a search. False when one of them
   * cannot be quantized. The codes are those of `quantize`.
   * @param elements bit patterns
   */
  quantizeHalves(
    elements: Int16Array,
    first: number,
    pitch: number,
    count: number,
    channel: number,
    block: number,
  ): boolean {
    const table = this.#table;
    const patterns = extremesOfHalves(elements, first, pitch, count);
    const low = table[patterns & 0xffff] as number;
    const high = table[patterns >>> 16] as number;
    this.#extremes.low = low;
    this.#extremes.high = high;
    if (!this.#isInRange()) return false;
    this.#choose(table[(elements[first] as number) & 0xffff] as number, channel, block);
    if (!Number.isFinite(this.#coder.reciprocal)) {
      const values = Float32Array.from(
        { length: count },
        (_, i) => table[(elements[first + i * pitch] as number) & 0xffff] as number,
      );
      return this.quantize(values, count, channel, block);
    }
    const { codes, codesStride } = this.#target;
    const start = channel * codesStride + block * this.#blob;
    const { bits } = this.#format;
    const coder = this.#coder;
    const end = encodeHalves(elements, table, first, pitch, count, bits, coder, codes, start);
    if (end < start + this.#blob) codes.fill(0, end, start + this.#blob);
    return true;
  }

  #isInRange(): boolean {
    const { low, high } = this.#extremes;
    return low > -this.#limit && high < this.#limit;
  }

  /** Chooses and stores scale and zero point from the extremes, or by a search where `values` are given. */
  #choose(
    firstValue: number,
    channel: number,
    block: number,
    values?: Float32Array,
    count = 0,
  ): void {
    const fround = Math.fround;
    const top = this.#top;
    let { low, high } = this.#extremes;
    let range: number;
    let scale: number;
    let zeroPoint: number;
    if (this.#format.symmetric) {
      // An all-zero block takes the sign of its first zero, negated. Dividing by a power of two only scales.
      const peak = Math.abs(high) > Math.abs(low) ? high : low;
      range = -(peak === 0 ? firstValue : peak);
      scale = fround(range / this.#middle);
      zeroPoint = this.#middle;
    } else {
      low = low < 0 ? low : 0;
      high = high > 0 ? high : 0;
      range = fround(high - low);
      scale = fround(range / top);
      zeroPoint = roundClamped(scale !== 0 ? fround(0 - fround(low / scale)) : low, top);
    }
    const found = values && this.#search?.find(values, count, range, low);
    if (found !== undefined) {
      scale = found.scale;
      zeroPoint = found.zeroPoint;
    }
    this.#storeZeroPoint(channel, block, zeroPoint);
    const stored = this.#storeScale(channel, block, scale);
    this.#coder.reciprocal = stored !== 0 ? fround(1 / stored) : 0;
    this.#coder.zeroPoint = zeroPoint;
  }

  /** Codes, low bits first; slots without an element hold 0. One loop for each width: they are most of the work. */
  #encode(values: Float32Array, count: number, channel: number, block: number): void {
    const { reciprocal, zeroPoint } = this.#coder;
    const top = this.#top;
    const { bits, blockSize } = this.#format;
    const { codes } = this.#target;
    const first = channel * this.#target.codesStride + block * this.#blob;
    if (bits === 8) {
      for (let i = 0; i < blockSize; i++) {
        codes[first + i] = codeOf(values[i] as number, reciprocal, zeroPoint, top);
      }
    } else if (bits === 4) {
      for (let i = 0, to = first; i < blockSize; i += 2, to++) {
        const low = codeOf(values[i] as number, reciprocal, zeroPoint, top);
        const high = codeOf(values[i + 1] as number, reciprocal, zeroPoint, top);
        codes[to] = low | (high << 4);
      }
    } else {
      for (let i = 0, to = first; i < blockSize; i += 4, to++) {
        const a = codeOf(values[i] as number, reciprocal, zeroPoint, top);
        const b = codeOf(values[i + 1] as number, reciprocal, zeroPoint, top);
        const c = codeOf(values[i + 2] as number, reciprocal, zeroPoint, top);
        const d = codeOf(values[i + 3] as number, reciprocal, zeroPoint, top);
        codes[to] = a | (b << 2) | (c << 4) | (d << 6);
      }
    }
    if (count === blockSize) return;
    const whole = Math.floor((count * bits) / 8);
    const last = first + whole;
    const kept = (codes[last] as number) & ((1 << ((count * bits) % 8)) - 1);
    codes.fill(0, last, first + this.#blob);
    codes[last] = kept;
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
    return this.#table[pattern] as number;
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
