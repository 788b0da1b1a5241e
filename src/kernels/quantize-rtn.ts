/**
 * Blockwise round-to-nearest quantization in ONNX Runtime's own arithmetic (MlasQuantizeBlockwise on x86-64): each
 * operation is one binary32 operation, rounded once, in the order written. This is the reference of the native
 * kernels, which give the same bytes. Unlike ONNX Runtime, which repeats older codes there, slots past the end of a
 * channel hold 0. Pure.
 */

import { floatElements, floatToBfloat16, floatToHalf, patternTable } from './float-types.ts';
import { type QuantizeParameters, quantizedChannel } from './kernel.ts';

/** What a tile of {@link quantizeRows} or {@link quantizeColumns} needs to know of its parameters. */
export type BlockFormat = Pick<
  QuantizeParameters,
  'type' | 'bits' | 'blockSize' | 'symmetric' | 'k'
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
 * Quantizes `channels` contiguous rows of `format.k` elements ([N, K] layout). Every byte of their codes, scales and
 * zero points is written.
 * @returns -1, or the index of the first NaN or infinity among the elements of `source`; outputs are then unspecified
 */
export function quantizeRows(
  format: BlockFormat,
  source: Uint8Array,
  channels: number,
  target: QuantizeTarget,
): number {
  const { k, blockSize } = format;
  const { blocks } = quantizedChannel(format);
  const elements = floatElements(format.type, source);
  const table = format.type === 1 ? undefined : patternTable(format.type);
  const values = new Float32Array(blockSize);
  const quantizer = new BlockQuantizer(format, target);
  for (let channel = 0; channel < channels; channel++) {
    for (let block = 0; block < blocks; block++) {
      const first = channel * k + block * blockSize;
      const count = Math.min(blockSize, k - block * blockSize);
      decodeRun(elements, table, first, count, values);
      if (!quantizer.quantize(values, count, channel, block)) {
        return firstNonFinite(format.type, elements, channels, k, k);
      }
    }
  }
  return -1;
}

/**
 * Quantizes a strip of `rows` rows (indices along k) of `columns` channels, rows `rowStride` bytes apart ([K, N]
 * layout). The strip begins at an even block; `target` points at its first block of each channel.
 * @returns -1, or row * columns + column of the first NaN or infinity in row order; outputs are then unspecified
 */
export function quantizeColumns(
  format: BlockFormat,
  source: Uint8Array,
  rowStride: number,
  rows: number,
  columns: number,
  target: QuantizeTarget,
): number {
  const { type, blockSize } = format;
  const pitch = rowStride / (type === 1 ? 4 : 2);
  const elements = floatElements(type, source);
  const table = type === 1 ? undefined : patternTable(type);
  const values = new Float32Array(blockSize);
  const quantizer = new BlockQuantizer(format, target);
  for (let column = 0; column < columns; column++) {
    for (let block = 0; block * blockSize < rows; block++) {
      const count = Math.min(blockSize, rows - block * blockSize);
      let index = block * blockSize * pitch + column;
      for (let i = 0; i < count; i++, index += pitch) {
        const element = elements[index] as number;
        values[i] = table === undefined ? element : (table[element] as number);
      }
      if (!quantizer.quantize(values, count, column, block)) {
        return firstNonFinite(type, elements, rows, columns, pitch);
      }
    }
  }
  return -1;
}

function decodeRun(
  elements: Float32Array | Uint16Array,
  table: Float32Array | undefined,
  first: number,
  count: number,
  values: Float32Array,
): void {
  if (table === undefined) {
    for (let i = 0; i < count; i++) values[i] = elements[first + i] as number;
    return;
  }
  for (let i = 0; i < count; i++) values[i] = table[elements[first + i] as number] as number;
}

function firstNonFinite(
  type: BlockFormat['type'],
  elements: Float32Array | Uint16Array,
  rows: number,
  columns: number,
  pitch: number,
): number {
  const table = type === 1 ? undefined : patternTable(type);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const element = elements[row * pitch + column] as number;
      if (!Number.isFinite(table === undefined ? element : table[element])) {
        return row * columns + column;
      }
    }
  }
  return -1;
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

/** Codes of the first `count` values, one byte each, from `first` on. */
function encodeBytes(
  values: Float32Array,
  count: number,
  reciprocal: number,
  zeroPoint: number,
  codes: Uint8Array,
  first: number,
): void {
  const fround = Math.fround;
  for (let i = 0; i < count; i++) {
    const position = fround(fround((values[i] as number) * reciprocal) + zeroPoint);
    codes[first + i] = roundClamped(position, 255);
  }
}

/** Codes of the first `count` values, two a byte, low bits first; the second slot of a last odd one holds 0. */
function encodeNibbles(
  values: Float32Array,
  count: number,
  reciprocal: number,
  zeroPoint: number,
  codes: Uint8Array,
  first: number,
): void {
  const fround = Math.fround;
  const pairs = count >> 1;
  for (let i = 0; i < pairs; i++) {
    const even = fround(fround((values[2 * i] as number) * reciprocal) + zeroPoint);
    const odd = fround(fround((values[2 * i + 1] as number) * reciprocal) + zeroPoint);
    codes[first + i] = roundClamped(even, 15) | (roundClamped(odd, 15) << 4);
  }
  if (count % 2 !== 0) {
    const last = fround(fround((values[count - 1] as number) * reciprocal) + zeroPoint);
    codes[first + pairs] = roundClamped(last, 15);
  }
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

class BlockQuantizer {
  readonly #format: BlockFormat;
  readonly #target: QuantizeTarget;
  readonly #blob: number;
  readonly #top: number;
  readonly #middle: number;
  readonly #scales: DataView;
  readonly #extremes: Extremes = { low: 0, high: 0 };

  constructor(format: BlockFormat, target: QuantizeTarget) {
    this.#format = format;
    this.#target = target;
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
    let scale: number;
    let zeroPoint: number;
    if (this.#format.symmetric) {
      // An all-zero block takes the sign of its first zero, negated. Dividing by a power of two only scales.
      const peak = Math.abs(high) > Math.abs(low) ? high : low;
      scale = fround(-(peak === 0 ? (values[0] as number) : peak) / this.#middle);
      zeroPoint = this.#middle;
    } else {
      low = low < 0 ? low : 0;
      high = high > 0 ? high : 0;
      scale = fround(fround(high - low) / top);
      zeroPoint = roundClamped(scale !== 0 ? fround(0 - fround(low / scale)) : low, top);
      this.#storeZeroPoint(channel, block, zeroPoint);
    }
    const stored = this.#storeScale(channel, block, scale);
    const reciprocal = stored !== 0 ? fround(1 / stored) : 0;
    const first = channel * this.#target.codesStride + block * this.#blob;
    const { codes } = this.#target;
    if (this.#format.bits === 4) {
      encodeNibbles(values, count, reciprocal, zeroPoint, codes, first);
    } else {
      encodeBytes(values, count, reciprocal, zeroPoint, codes, first);
    }
    if (count < this.#format.blockSize) {
      codes.fill(0, first + Math.ceil((count * this.#format.bits) / 8), first + this.#blob);
    }
    return true;
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

  #storeZeroPoint(channel: number, block: number, zeroPoint: number): void {
    const { zeroPoints, zeroPointsStride } = this.#target;
    if (zeroPoints === undefined) return;
    if (this.#format.bits === 8) {
      zeroPoints[channel * zeroPointsStride + block] = zeroPoint;
      return;
    }
    // An even block sets the other slot to the middle code; it stays so when there is no next block.
    const index = channel * zeroPointsStride + (block >> 1);
    zeroPoints[index] =
      block % 2 === 0
        ? zeroPoint | (this.#middle << 4)
        : ((zeroPoints[index] as number) & 15) | (zeroPoint << 4);
  }
}
