/** Is a quantized table the encoding of a float one? The reference of native/kernels/tie-gate.cc. Pure. */

import { ceilDiv } from '../bytes.ts';
import { codeAt } from './dequantize.ts';
import { elementReader, floatByteLength, smallestNormal } from './float-types.ts';
import type { FloatTypeCode, QuantizeParameters } from './kernel.ts';

/** What the quantized table is, and the type of the float one. */
export interface TieGateFormat {
  readonly type: FloatTypeCode;
  readonly scaleType: FloatTypeCode;
  readonly bits: QuantizeParameters['bits'];
  readonly blockSize: number;
  /** Elements per channel. */
  readonly k: number;
  /** False: every zero point is 2^(bits-1). */
  readonly hasZeroPoints: boolean;
}

/** A run of channels of both tables. The quantized parts begin at the first of them. */
export interface TieGateTile {
  /** Element i of channel c lies at c * channelStride + i * elementStride. */
  readonly table: Uint8Array;
  readonly channelStride: number;
  readonly elementStride: number;
  readonly channels: number;
  /** Index in the whole table of the first channel. */
  readonly firstChannel: number;
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  readonly zeroPoints: Uint8Array | undefined;
}

export interface TieGateResult {
  readonly compared: number;
  readonly rejected: number;
  /** Largest distance from the code, in steps, of elements that are not clamped. */
  readonly worstSteps: number;
  /** channel * k + element of it, the first of equals; -1 when there is none. */
  readonly worstIndex: number;
}

/**
 * Counts the elements that are not what their code stands for. With code q, zero point z and scale s, element x is
 * accepted when |x/s + z - q| ≤ 0.5 + |q - z|·2⁻¹⁰ + 2⁻⁶ (the half step of rounding to nearest, the rounding of scale
 * and reciprocal, slack), or when q is the code at the end that x/s + z lies beyond; with s = 0 when |x| is at most
 * the smallest normal number of its type. A distance that is no number counts as infinite.
 */
export function tieGate(format: TieGateFormat, tile: TieGateTile): TieGateResult {
  const { type, scaleType, bits, blockSize, k } = format;
  const blocks = ceilDiv(k, blockSize);
  const zeroPointByteLength = ceilDiv(blocks * bits, 8);
  const read = elementReader(type, tile.table);
  const readScale = elementReader(scaleType, tile.scales);
  const elementBytes = floatByteLength(type);
  const channelPitch = tile.channelStride / elementBytes;
  const elementPitch = tile.elementStride / elementBytes;
  const top = 2 ** bits - 1;
  const tiny = smallestNormal(type);
  let rejected = 0;
  let worstSteps = 0;
  let worstIndex = -1;
  for (let c = 0; c < tile.channels; c++) {
    const zeroPoints = format.hasZeroPoints
      ? tile.zeroPoints?.subarray(c * zeroPointByteLength)
      : undefined;
    for (let block = 0; block < blocks; block++) {
      const first = block * blockSize;
      const codes = tile.codes.subarray(((c * blocks + block) * blockSize * bits) / 8);
      const scale = readScale(c * blocks + block);
      const zeroPoint =
        zeroPoints === undefined ? 2 ** (bits - 1) : codeAt(zeroPoints, bits, block);
      const elements = Math.min(blockSize, k - first);
      for (let i = 0; i < elements; i++) {
        const x = read(c * channelPitch + (first + i) * elementPitch);
        let distance: number;
        let tolerance = 0;
        if (scale === 0) {
          distance = Math.abs(x) <= tiny ? 0 : Number.POSITIVE_INFINITY;
        } else {
          const code = codeAt(codes, bits, i);
          const position = x / scale + zeroPoint;
          if ((code === 0 && position < 0) || (code === top && position > top)) continue;
          distance = Math.abs(position - code);
          tolerance = 0.5 + Math.abs(code - zeroPoint) * 2 ** -10 + 2 ** -6;
          if (Number.isNaN(distance)) distance = Number.POSITIVE_INFINITY;
        }
        if (distance > tolerance) rejected++;
        if (worstIndex < 0 || distance > worstSteps) {
          worstSteps = distance;
          worstIndex = (tile.firstChannel + c) * k + first + i;
        }
      }
    }
  }
  return { compared: tile.channels * k, rejected, worstSteps, worstIndex };
}
