/** What quantizes the weights of a tile where there is no addon, and the references that all kernels are measured by. */

import type { QuantizeTarget } from '../kernels/block-quantizer.ts';
import { floatByteLength } from '../kernels/float-types.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import { ErrorSum } from '../kernels/measure.ts';
import { codedBlocks, floatBlocks, measureTile } from '../kernels/measure-weight.ts';
import { quantizeColumns, quantizeRows } from '../kernels/quantize.ts';

/** A tile of a weight in memory, and where what is made of it goes. */
export interface WeightTile {
  readonly parameters: QuantizeParameters;
  readonly source: Uint8Array;
  /** Of columns: bytes from one row to the next. */
  readonly strideBytes: number;
  readonly channels: number;
  /** Of each channel. */
  readonly elements: number;
  readonly target: QuantizeTarget;
}

export interface QuantizeKernels {
  /** Gives `byteLength` bytes, aligned for elements of any type. Tiles must lie in what the last call gave. */
  allocate(byteLength: number): Uint8Array;
  /** Gives the index, in source order, of the first element that cannot be quantized, or -1. */
  quantize(tile: WeightTile): number;
  /** How far what was made of a tile is from it; its first element is that of index `first` in the weight. */
  measure(tile: WeightTile, first: number): ErrorSum;
}

/** The kernels in TypeScript: they say what the result is. */
export const REFERENCE_KERNELS: QuantizeKernels = {
  allocate: (byteLength) => new Uint8Array(byteLength),

  quantize({ parameters, source, strideBytes, channels, elements, target }) {
    return parameters.layout === 'rows'
      ? quantizeRows({ ...parameters, k: elements }, source, channels, target)
      : quantizeColumns(parameters, source, strideBytes, elements, channels, target);
  },

  measure({ parameters, source, strideBytes, channels, elements, target }, first) {
    const { layout, bits, blockSize, type, k } = parameters;
    const size = floatByteLength(type);
    const [channelStride, elementStride] =
      layout === 'rows' ? [elements * size, size] : [size, strideBytes];
    const exact = floatBlocks(type, source, channelStride, elementStride);
    const found = codedBlocks({ ...target, bits, blockSize, scaleType: type });
    const error = new ErrorSum();
    measureTile(exact, found, { channels, elements, blockSize, first, channelStride: k }, error);
    return error;
  },
};
