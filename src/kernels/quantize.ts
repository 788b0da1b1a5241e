/** Quantizes tiles of weights, rows or columns; the native kernels give the same bytes. Pure. */

import { type BlockFormat, BlockQuantizer, type QuantizeTarget } from './block-quantizer.ts';
import { floatElements, patternTable, quantizableLimit } from './float-types.ts';
import { isOliveMethod, quantizedChannel } from './kernel.ts';
import { oliveQuantizer } from './olive-quantizer.ts';

/**
 * Quantizes `channels` contiguous rows of `format.k` elements ([N, K] layout). Every byte of their codes, scales and
 * zero points is written.
 * @returns -1, or the index of the first that cannot be quantized (quantizableLimit) among the elements of `source`; outputs are then unspecified
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
  const quantizer = quantizerOf(format, target);
  for (let channel = 0; channel < channels; channel++) {
    for (let block = 0; block < blocks; block++) {
      const first = channel * k + block * blockSize;
      const count = Math.min(blockSize, k - block * blockSize);
      decodeRun(elements, table, first, 1, count, values);
      if (!quantizer.quantize(values, count, channel, block)) {
        return firstNonFinite(format.type, elements, channels, k, k);
      }
    }
  }
  return -1;
}

/**
 * Quantizes a strip of `rows` rows (indices along k) of `columns` channels, rows `rowStride` bytes apart ([K, N]
 * layout). The strip begins at a block whose zero point begins a byte; `target` points at its first block of each channel.
 * @returns -1, or row * columns + column of the first element that cannot be quantized in row order; outputs are then unspecified
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
  const quantizer = quantizerOf(format, target);
  // A row of blocks at a time: neighbouring columns share cache lines, and pages.
  for (let block = 0; block * blockSize < rows; block++) {
    const count = Math.min(blockSize, rows - block * blockSize);
    for (let column = 0; column < columns; column++) {
      const first = block * blockSize * pitch + column;
      decodeRun(elements, table, first, pitch, count, values);
      if (!quantizer.quantize(values, count, column, block)) {
        return firstNonFinite(type, elements, rows, columns, pitch);
      }
    }
  }
  return -1;
}

/** What turns the blocks of one tile into codes. */
export interface TileQuantizer {
  /** Quantizes the first `count` of `values`. False when one of them cannot be (quantizableLimit). */
  quantize(values: Float32Array, count: number, channel: number, block: number): boolean;
}

function quantizerOf(format: BlockFormat, target: QuantizeTarget): TileQuantizer {
  const { method } = format;
  return isOliveMethod(method)
    ? oliveQuantizer({ ...format, method }, target)
    : new BlockQuantizer(format, target);
}

/** The numbers of `count` elements that lie `pitch` apart. */
function decodeRun(
  elements: Float32Array | Uint16Array,
  table: Float32Array | undefined,
  first: number,
  pitch: number,
  count: number,
  values: Float32Array,
): void {
  if (table === undefined) {
    for (let i = 0, index = first; i < count; i++, index += pitch) {
      values[i] = elements[index] as number;
    }
    return;
  }
  for (let i = 0, index = first; i < count; i++, index += pitch) {
    values[i] = table[elements[index] as number] as number;
  }
}

function firstNonFinite(
  type: BlockFormat['type'],
  elements: Float32Array | Uint16Array,
  rows: number,
  columns: number,
  pitch: number,
): number {
  const table = type === 1 ? undefined : patternTable(type);
  const limit = quantizableLimit(type);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const element = elements[row * pitch + column] as number;
      const value = table === undefined ? element : (table[element] as number);
      if (!(Math.abs(value) < limit)) {
        return row * columns + column;
      }
    }
  }
  return -1;
}
