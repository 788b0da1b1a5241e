/** Quantizing whole weights in memory, as the kernel tests do. */

import type { BlockFormat, QuantizeTarget } from '../../src/kernels/block-quantizer.ts';
import { type QuantizeParameters, quantizedChannel } from '../../src/kernels/kernel.ts';
import { quantizeColumns, quantizeRows } from '../../src/kernels/quantize.ts';

export interface Quantized {
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  readonly zeroPoints: Uint8Array | undefined;
  /** Index of the first non-finite element, or -1. */
  readonly nonFinite: number;
}

/** Output arrays of a weight, filled with a byte that no kernel may leave behind. */
export function emptyOutputs(parameters: QuantizeParameters): QuantizeTarget {
  const { n, symmetric } = parameters;
  const channel = quantizedChannel(parameters);
  const bytes = (perChannel: number) => new Uint8Array(n * perChannel).fill(0xee);
  return {
    codes: bytes(channel.codesByteLength),
    codesStride: channel.codesByteLength,
    scales: bytes(channel.scalesByteLength),
    scalesStride: channel.scalesByteLength,
    zeroPoints: symmetric ? undefined : bytes(channel.zeroPointsByteLength),
    zeroPointsStride: channel.zeroPointsByteLength,
  };
}

/** The part of `target` that begins at a channel and a block whose zero point begins a byte. */
export function targetAt(
  format: BlockFormat,
  target: QuantizeTarget,
  channel: number,
  block: number,
): QuantizeTarget {
  const { type, bits, blockSize } = format;
  const { codesStride, scalesStride, zeroPointsStride } = target;
  return {
    ...target,
    codes: target.codes.subarray(channel * codesStride + (block * blockSize * bits) / 8),
    scales: target.scales.subarray(channel * scalesStride + block * (type === 1 ? 4 : 2)),
    zeroPoints: target.zeroPoints?.subarray(channel * zeroPointsStride + (block * bits) / 8),
  };
}

/** Quantizes a whole weight with the TypeScript reference. */
export function quantizeWhole(parameters: QuantizeParameters, source: Uint8Array): Quantized {
  const { type, n, k, layout } = parameters;
  const target = emptyOutputs(parameters);
  const rowStride = n * (type === 1 ? 4 : 2);
  const nonFinite =
    layout === 'rows'
      ? quantizeRows(parameters, source, n, target)
      : quantizeColumns(parameters, source, rowStride, k, n, target);
  const { codes, scales, zeroPoints } = target;
  return { codes, scales, zeroPoints, nonFinite };
}

/** A rows x columns matrix with its dimensions swapped. */
export function transposed(
  source: Uint8Array,
  rows: number,
  columns: number,
  elementBytes: number,
): Uint8Array {
  const result = new Uint8Array(source.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * elementBytes;
      const element = source.subarray(from, from + elementBytes);
      result.set(element, (column * rows + row) * elementBytes);
    }
  }
  return result;
}
