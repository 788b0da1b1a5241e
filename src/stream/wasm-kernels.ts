/** The kernels for WebAssembly. Tiles lie in their memory: nothing is copied into it or out of it. */

import { METHOD_NUMBERS } from '../kernels/kernel.ts';
import { ERROR_FIELDS, ErrorSum } from '../kernels/measure.ts';
import { createWasmKernels, type WasmKernels } from '../wasm.ts';
import type { QuantizeKernels, WeightTile } from './quantize-kernels.ts';

const PAGE = 65_536;
const CACHE_LINE = 64;

/** Gives kernels whose memory can grow to hold `byteLength` bytes; undefined where there are none. */
export function wasmKernels(byteLength: number): QuantizeKernels | undefined {
  const kernels = createWasmKernels();
  if (kernels === undefined) return undefined;
  const start = Math.ceil(kernels.heapStart() / CACHE_LINE) * CACHE_LINE;
  const missing = start + byteLength - kernels.memory.buffer.byteLength;
  try {
    if (missing > 0) kernels.memory.grow(Math.ceil(missing / PAGE));
  } catch (error) {
    // Beyond 4 GiB, or beyond what the machine has.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return new WasmQuantizeKernels(kernels, new Uint8Array(kernels.memory.buffer, start, byteLength));
}

class WasmQuantizeKernels implements QuantizeKernels {
  readonly #kernels: WasmKernels;
  readonly #memory: Uint8Array;
  readonly #numbers: Float64Array;

  constructor(kernels: WasmKernels, memory: Uint8Array) {
    this.#kernels = kernels;
    this.#memory = memory;
    this.#numbers = new Float64Array(memory.buffer, kernels.numbers(), ERROR_FIELDS);
  }

  allocate(byteLength: number): Uint8Array {
    return this.#memory.subarray(0, byteLength);
  }

  quantize(tile: WeightTile): number {
    this.#pass(tile, 0);
    return this.#kernels.quantize();
  }

  measure(tile: WeightTile, first: number): ErrorSum {
    this.#pass(tile, first);
    this.#kernels.measure();
    const error = new ErrorSum();
    error.addPacked(this.#numbers);
    return error;
  }

  /** Leaves the fields of struct Call in native/wasm/border.cc. */
  #pass(tile: WeightTile, first: number): void {
    const { parameters, source, strideBytes, channels, elements, target } = tile;
    const { method, type, bits, blockSize, symmetric, layout, k } = parameters;
    const isColumns = layout === 'columns';
    const shape = isColumns ? [elements, channels] : [channels, 0];
    const { codes, codesStride, scales, scalesStride, zeroPoints, zeroPointsStride } = target;
    this.#numbers.set([
      ...[METHOD_NUMBERS[method], type, bits, blockSize, Number(symmetric)],
      ...[isColumns ? k : elements, Number(isColumns), this.#offset(source), strideBytes, ...shape],
      ...[this.#offset(codes), codesStride, this.#offset(scales), scalesStride],
      ...[zeroPoints === undefined ? 0 : this.#offset(zeroPoints), zeroPointsStride, first, k],
    ]);
  }

  #offset(bytes: Uint8Array): number {
    if (bytes.buffer !== this.#memory.buffer) throw new RangeError('a tile outside of the memory');
    return bytes.byteOffset;
  }
}
