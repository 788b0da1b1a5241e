/** Random weights and what the reference kernels make of them when they see the whole tensor at once. */

import { encodeFloats, floatByteLength } from '../../src/kernels/float-types.ts';
import { type QuantizeParameters, quantizedChannel } from '../../src/kernels/kernel.ts';
import { ErrorSum, unpackError } from '../../src/kernels/measure.ts';
import { codedBlocks, floatBlocks, measureTile } from '../../src/kernels/measure-weight.ts';
import { quantizeColumns, quantizeRows } from '../../src/kernels/quantize.ts';
import { type WeightError, weightError } from '../../src/stream/weight-error.ts';
import { noise } from './scratch-files.ts';

/** Little-endian elements between -4 and 4. */
export function randomWeight(parameters: QuantizeParameters, seed: number): Uint8Array {
  const { n, k, type } = parameters;
  const random = noise(n * k * 2, seed);
  const values = new Float32Array(n * k);
  for (let i = 0; i < values.length; i++) {
    values[i] = ((random[2 * i] ?? 0) * 256 + (random[2 * i + 1] ?? 0)) / 8192 - 4;
  }
  return encodeFloats(type, values);
}

export interface Quantized {
  readonly hit: number;
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  /** Empty when symmetric. */
  readonly zeroPoints: Uint8Array;
}

/** The whole tensor through the reference kernel. */
export function quantizeWhole(parameters: QuantizeParameters, weight: Uint8Array): Quantized {
  const { n, k, type, layout, symmetric } = parameters;
  const channel = quantizedChannel(parameters);
  const codes = new Uint8Array(n * channel.codesByteLength);
  const scales = new Uint8Array(n * channel.scalesByteLength);
  const zeroPoints = new Uint8Array(symmetric ? 0 : n * channel.zeroPointsByteLength);
  const target = {
    codes,
    codesStride: channel.codesByteLength,
    scales,
    scalesStride: channel.scalesByteLength,
    zeroPoints: symmetric ? undefined : zeroPoints,
    zeroPointsStride: channel.zeroPointsByteLength,
  };
  const hit =
    layout === 'rows'
      ? quantizeRows(parameters, weight, n, target)
      : quantizeColumns(parameters, weight, n * floatByteLength(type), k, n, target);
  return { hit, codes, scales, zeroPoints };
}

/** How far what the reference kernel makes of a weight is from it. */
export function measureWhole(parameters: QuantizeParameters, weight: Uint8Array): WeightError {
  const { n, k, type, bits, blockSize, layout, symmetric } = parameters;
  const size = floatByteLength(type);
  const channel = quantizedChannel(parameters);
  const { codes, scales, zeroPoints } = quantizeWhole(parameters, weight);
  const sum = new ErrorSum();
  measureTile(
    layout === 'rows'
      ? floatBlocks(type, weight, k * size, size)
      : floatBlocks(type, weight, size, n * size),
    codedBlocks({
      ...{ bits, blockSize, scaleType: type, codes, scales },
      codesStride: channel.codesByteLength,
      scalesStride: channel.scalesByteLength,
      zeroPoints: symmetric ? undefined : zeroPoints,
      zeroPointsStride: channel.zeroPointsByteLength,
    }),
    { channels: n, elements: k, blockSize, first: 0, channelStride: k },
    sum,
  );
  return weightError(unpackError(sum.pack()), n * k, k);
}

/** The same matrix with rows and columns exchanged. */
export function transpose(
  bytes: Uint8Array,
  rows: number,
  columns: number,
  size: number,
): Uint8Array {
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * columns + column) * size;
      result.set(bytes.subarray(from, from + size), (column * rows + row) * size);
    }
  }
  return result;
}
