/** Measures quantized tiles of weights, rows or columns; the native kernels find the same. Pure. */

import { ceilDiv } from '../bytes.ts';
import { codeAt } from './dequantize.ts';
import { elementReader, floatByteLength } from './float-types.ts';
import type { FloatTypeCode, QuantizeParameters } from './kernel.ts';
import type { ErrorSum } from './measure.ts';

/** Some numbers of a matrix: `count` of `channel` from `first` on, into `values`. */
export type BlockReader = (
  channel: number,
  first: number,
  count: number,
  values: Float32Array,
) => void;

/** Codes, scales and zero points of some channels, so many bytes apart. */
export interface StoredBlocks {
  readonly bits: QuantizeParameters['bits'];
  readonly blockSize: number;
  readonly scaleType: FloatTypeCode;
  readonly codes: Uint8Array;
  readonly codesStride: number;
  readonly scales: Uint8Array;
  readonly scalesStride: number;
  /** Undefined: every zero point is 2^(bits-1). */
  readonly zeroPoints: Uint8Array | undefined;
  readonly zeroPointsStride: number;
}

/** Reads floats: element i of channel c lies at c * channelStride + i * elementStride bytes. */
export function floatBlocks(
  type: FloatTypeCode,
  bytes: Uint8Array,
  channelStride: number,
  elementStride: number,
): BlockReader {
  const read = elementReader(type, bytes);
  const size = floatByteLength(type);
  const [channelPitch, pitch] = [channelStride / size, elementStride / size];
  return (channel, first, count, values) => {
    let at = channel * channelPitch + first * pitch;
    for (let i = 0; i < count; i++, at += pitch) values[i] = read(at);
  };
}

/** Reads what codes stand for: (code - zero point) * scale, in binary32. */
export function codedBlocks(stored: StoredBlocks): BlockReader {
  const { bits, blockSize, scaleType, codes, zeroPoints } = stored;
  const readScale = elementReader(scaleType, stored.scales);
  const scalesPitch = stored.scalesStride / floatByteLength(scaleType);
  return (channel, first, count, values) => {
    const row = codes.subarray(channel * stored.codesStride);
    const points = zeroPoints?.subarray(channel * stored.zeroPointsStride);
    let scale = 0;
    let zeroPoint = 2 ** (bits - 1);
    for (let i = 0; i < count; i++) {
      const element = first + i;
      if (i === 0 || element % blockSize === 0) {
        const block = Math.floor(element / blockSize);
        scale = readScale(channel * scalesPitch + block);
        if (points !== undefined) zeroPoint = codeAt(points, bits, block);
      }
      values[i] = (codeAt(row, bits, element) - zeroPoint) * scale;
    }
  };
}

/** Where a tile lies: element i of its channel c has the index `first` + c * `channelStride` + i in the weight. */
export interface TilePlace {
  readonly channels: number;
  readonly elements: number;
  readonly blockSize: number;
  readonly first: number;
  readonly channelStride: number;
}

/** Adds how far the numbers of `found` are from those of `exact`, block by block. */
export function measureTile(
  exact: BlockReader,
  found: BlockReader,
  place: TilePlace,
  sum: ErrorSum,
): void {
  const { channels, elements, blockSize, first, channelStride } = place;
  const numbers = new Float32Array(blockSize);
  const others = new Float32Array(blockSize);
  const blocks = ceilDiv(elements, blockSize);
  for (let channel = 0; channel < channels; channel++) {
    for (let block = 0; block < blocks; block++) {
      const start = block * blockSize;
      const count = Math.min(blockSize, elements - start);
      exact(channel, start, count, numbers);
      found(channel, start, count, others);
      sum.addBlock(numbers, others, count, first + channel * channelStride + start);
    }
  }
}
