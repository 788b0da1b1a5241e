/** Bytes that a quantized weight takes per channel, and how buffers lie in working memory. Pure. */

import {
  type FloatTypeCode,
  type QuantizeParameters,
  quantizedChannel,
} from '../kernels/kernel.ts';
import type { Job } from './program.ts';

/** Elements of a channel whose zero points fill a byte: what tiles are cut at multiples of. */
export function zeroPointUnit({
  bits,
  blockSize,
}: Pick<BlockFormat, 'bits' | 'blockSize'>): number {
  return (8 / bits) * blockSize;
}

/** Bytes of one channel in each output of a quantizer; `zeroPoints` is 0 when there are none. */
export interface ChannelBytes {
  readonly codes: number;
  readonly scales: number;
  readonly zeroPoints: number;
}

interface BlockFormat {
  /** How the codes were made, where that matters for their layout. */
  readonly method?: QuantizeParameters['method'];
  readonly bits: QuantizeParameters['bits'];
  readonly blockSize: QuantizeParameters['blockSize'];
  readonly scaleType: FloatTypeCode;
  readonly hasZeroPoints: boolean;
}

/** Bytes of the first `elements` elements of a channel. */
export function channelBytes(format: BlockFormat, elements: number): ChannelBytes {
  const { method, bits, blockSize, scaleType, hasZeroPoints } = format;
  const size = quantizedChannel({ method, type: scaleType, bits, blockSize, k: elements });
  return {
    codes: size.codesByteLength,
    scales: size.scalesByteLength,
    zeroPoints: hasZeroPoints ? size.zeroPointsByteLength : 0,
  };
}

/** The block format that a quantize or tie-gate job writes or reads. */
export function blockFormat(job: Extract<Job, { kernel: 'quantize' | 'tie-gate' }>) {
  if (job.kernel === 'tie-gate') return job;
  const { method, bits, blockSize, type, symmetric } = job.parameters;
  return { method, bits, blockSize, scaleType: type, hasZeroPoints: !symmetric };
}

/** Sum of the three. */
export function totalBytes(bytes: ChannelBytes): number {
  return bytes.codes + bytes.scales + bytes.zeroPoints;
}

/** Next multiple of a cache line: buffers start on one. */
export function alignLine(byteLength: number): number {
  return Math.ceil(byteLength / 64) * 64;
}

/**
 * Distance of rows in a strip buffer: an odd number of cache lines, so that a column of a strip whose width is a
 * power of two does not land in a handful of cache sets. The same as in native/program.h.
 */
export function paddedStride(rowByteLength: number): number {
  const lines = Math.ceil(rowByteLength / 64);
  return (lines % 2 === 0 ? lines + 1 : lines) * 64;
}
