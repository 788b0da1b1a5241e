/** What quantized bytes stand for: codes unpacked, blocks back to numbers. Pure. */

import { decodeFloats } from './float-types.ts';
import { type QuantizeParameters, quantizedChannel } from './kernel.ts';

type Bits = QuantizeParameters['bits'];

/** Code `index` of a run of packed codes or zero points: low bits first. */
export function codeAt(packed: Uint8Array, bits: Bits, index: number): number {
  const at = index * bits;
  return ((packed[at >>> 3] as number) >> (at & 7)) & ((1 << bits) - 1);
}

/** The three parts of a quantized weight, laid out as `quantizeOutputs` says. */
export interface QuantizedWeight {
  readonly codes: Uint8Array;
  readonly scales: Uint8Array;
  /** Undefined: every zero point is 2^(bits-1). */
  readonly zeroPoints: Uint8Array | undefined;
}

/**
 * The numbers a quantized weight stands for, channel by channel ([n, k], whatever the source's layout was):
 * (code - zeroPoint) * scale, in binary32.
 */
export function dequantize(
  parameters: Pick<QuantizeParameters, 'type' | 'bits' | 'blockSize' | 'n' | 'k'>,
  weight: QuantizedWeight,
): Float32Array {
  const { type, bits, blockSize, n, k } = parameters;
  const channel = quantizedChannel(parameters);
  const scales = decodeFloats(type, weight.scales);
  const values = new Float32Array(n * k);
  for (let c = 0; c < n; c++) {
    const codes = weight.codes.subarray(c * channel.codesByteLength);
    const zeroPoints = weight.zeroPoints?.subarray(c * channel.zeroPointsByteLength);
    for (let i = 0; i < k; i++) {
      const block = Math.floor(i / blockSize);
      const zeroPoint =
        zeroPoints === undefined ? 2 ** (bits - 1) : codeAt(zeroPoints, bits, block);
      const scale = scales[c * channel.blocks + block] as number;
      values[c * k + i] = (codeAt(codes, bits, i) - zeroPoint) * scale;
    }
  }
  return values;
}
