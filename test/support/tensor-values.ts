/** Contents of test tensors from short descriptions such as `random(7)` or `transpose(E)`. */

import { DType, denseByteLength } from '../../src/dtypes.ts';
import { encodeFloats } from '../../src/kernels/float-types.ts';
import { type FloatTypeCode, quantizedChannel } from '../../src/kernels/kernel.ts';
import { quantizeRows } from '../../src/kernels/quantize.ts';

/** Element types of the text form, by their names in it. */
export const TYPE_CODES: Readonly<Record<string, number>> = {
  fp32: DType.FLOAT,
  fp16: DType.FLOAT16,
  bf16: DType.BFLOAT16,
  fp64: DType.DOUBLE,
  uint8: DType.UINT8,
  int8: DType.INT8,
  uint4: DType.UINT4,
  int4: DType.INT4,
  uint2: DType.UINT2,
  int2: DType.INT2,
  int32: DType.INT32,
  int64: DType.INT64,
  bool: DType.BOOL,
};

/** A tensor whose bytes are known. */
export interface KnownTensor {
  readonly dtype: number;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
  /** The numbers before rounding to `dtype`. */
  readonly numbers: Float64Array;
}

/** `count` numbers between -scale and scale; the same for the same seed. */
export function randomNumbers(count: number, seed: number, scale = 1): Float64Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * scale;
  });
}

function isFloat(dtype: number): dtype is FloatTypeCode {
  return dtype === DType.FLOAT || dtype === DType.FLOAT16 || dtype === DType.BFLOAT16;
}

function bytesOf(array: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }) {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Little-endian bytes of `numbers` as elements of `dtype`. */
export function encodeNumbers(dtype: number, numbers: Float64Array): Uint8Array {
  if (isFloat(dtype)) return encodeFloats(dtype, Float32Array.from(numbers));
  if (dtype === DType.DOUBLE) return bytesOf(Float64Array.from(numbers));
  if (dtype === DType.INT64) return bytesOf(BigInt64Array.from([...numbers].map(BigInt)));
  if (dtype === DType.INT32) return bytesOf(Int32Array.from(numbers));
  return Uint8Array.from(numbers);
}

export function tensorOf(
  dtype: number,
  dims: readonly number[],
  numbers: Float64Array,
): KnownTensor {
  return { dtype, dims, bytes: encodeNumbers(dtype, numbers), numbers };
}

function transposed(source: KnownTensor): Float64Array {
  const [rows = 0, columns = 0] = source.dims;
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = source.numbers[row * columns + column] ?? 0;
    }
  }
  return result;
}

/** Round-to-nearest codes, scales and zero points of a [n, k] table by the reference kernel. */
export function quantizedParts(
  source: KnownTensor,
  bits: 4 | 8,
  blockSize: 16 | 32 | 64 | 128 | 256,
  symmetric: boolean,
): { codes: Uint8Array; scales: Uint8Array; zeroPoints: Uint8Array } {
  const [n = 0, k = 0] = source.dims;
  const type = source.dtype as FloatTypeCode;
  const method = 'rtn';
  const parameters = { method, type, bits, blockSize, symmetric, layout: 'rows', n, k } as const;
  const channel = quantizedChannel(parameters);
  const codes = new Uint8Array(n * channel.codesByteLength);
  const scales = new Uint8Array(n * channel.scalesByteLength);
  const zeroPoints = new Uint8Array(n * channel.zeroPointsByteLength);
  quantizeRows(parameters, source.bytes, n, {
    codes,
    codesStride: channel.codesByteLength,
    scales,
    scalesStride: channel.scalesByteLength,
    zeroPoints: symmetric ? undefined : zeroPoints,
    zeroPointsStride: channel.zeroPointsByteLength,
  });
  return { codes, scales, zeroPoints };
}

/**
 * The tensor a description stands for: `random(seed, scale)`, `noise(seed)` for any bytes, `fill(x)`, `list(a, b, …)`, `copy(T)`, `transpose(T)`,
 * or a part of a quantized table, `codes(T, bits, block)`, `scales(…)`, `zero_points(…)`, each with a last argument
 * `symmetric` where wanted. Other tensors are looked up with `known`.
 */
export function describedTensor(
  text: string,
  dtype: number,
  dims: readonly number[],
  known: (name: string) => KnownTensor,
): KnownTensor {
  const match = /^(\w+)\((.*)\)$/.exec(text);
  if (match === null) throw new Error(`"${text}" is not a description of a tensor`);
  const [, kind = '', list = ''] = match;
  const words = list.split(',').map((word) => word.trim());
  const count = dims.reduce((product, dim) => product * dim, 1);
  const raw = (bytes: Uint8Array) => ({ dtype, dims, bytes, numbers: Float64Array.from(bytes) });
  switch (kind) {
    case 'random': {
      const [seed, scale] = words.map(Number);
      return tensorOf(dtype, dims, randomNumbers(count, seed ?? 0, scale));
    }
    case 'noise': {
      const bytes = new Uint8Array(denseByteLength(dtype, dims, text) ?? 0);
      const random = randomNumbers(bytes.length, Number(words[0]));
      return raw(bytes.map((_, index) => Math.floor((random[index] as number) * 128)));
    }
    case 'fill':
      return tensorOf(dtype, dims, new Float64Array(count).fill(Number(words[0])));
    case 'list':
      return tensorOf(dtype, dims, Float64Array.from(words, Number));
    case 'copy':
      return tensorOf(dtype, dims, known(words[0] ?? '').numbers);
    case 'transpose':
      return tensorOf(dtype, dims, transposed(known(words[0] ?? '')));
    case 'codes':
    case 'scales':
    case 'zero_points': {
      const parts = quantizedParts(
        known(words[0] ?? ''),
        Number(words[1]) as 4 | 8,
        Number(words[2]) as 32,
        words[3] === 'symmetric',
      );
      return raw(kind === 'zero_points' ? parts.zeroPoints : parts[kind]);
    }
    default:
      throw new Error(`"${text}" is not a description of a tensor`);
  }
}
