/** Dense tensors in ordinary memory, in the shape onnxruntime-node takes and returns them. Pure. */

import { elementCount } from '../dtypes.ts';
import { PreconditionError } from '../errors.ts';

/** Storage of a {@link HostTensor}. Half floats are their bit patterns. */
export type TensorStorage =
  | Float32Array
  | Float64Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** One tensor: ONNX Runtime's name of the element type, the shape, and the elements in row-major order. */
export interface HostTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: TensorStorage;
}

/** Largest input this room allocates; far beyond any decoder's state, far below what would take a machine down. */
const MAX_FEED_ELEMENTS = 2 ** 28;

/** fp16 patterns of the few numbers a feed consists of. */
const HALF_PATTERNS = new Map([
  [0, 0x0000],
  [1, 0x3c00],
  [-65504, 0xfbff],
]);

const ALLOCATE: Readonly<Record<string, (length: number) => TensorStorage>> = {
  float32: (length) => new Float32Array(length),
  float64: (length) => new Float64Array(length),
  float16: (length) => new Uint16Array(length),
  bool: (length) => new Uint8Array(length),
  uint8: (length) => new Uint8Array(length),
  int8: (length) => new Int8Array(length),
  uint16: (length) => new Uint16Array(length),
  int16: (length) => new Int16Array(length),
  int32: (length) => new Int32Array(length),
  uint32: (length) => new Uint32Array(length),
  int64: (length) => new BigInt64Array(length),
  uint64: (length) => new BigUint64Array(length),
};

function allocate(name: string, type: string, dims: readonly number[]): TensorStorage {
  const count = elementCount(dims, `input "${name}"`);
  if (count > MAX_FEED_ELEMENTS) {
    throw new PreconditionError(
      'ERR_LIMIT',
      `input "${name}" has shape [${dims.join(', ')}], ${count} elements; at most ${MAX_FEED_ELEMENTS} are fed`,
    );
  }
  const storage = ALLOCATE[type]?.(count);
  if (storage === undefined) {
    throw new PreconditionError('ERR_DTYPE', `input "${name}" has type ${type}, which is not fed`);
  }
  return storage;
}

/** A tensor of zeros. Throws a PreconditionError, naming the input, for a type or size that cannot be fed. */
export function zeros(name: string, type: string, dims: readonly number[]): HostTensor {
  return { type, dims, data: allocate(name, type, dims) };
}

/**
 * A tensor whose element `i` (row-major) is `valueAt(i)`, an integer. In fp16 only 0, 1 and -65504 are possible.
 * Throws a PreconditionError, naming the input, for a type, size or value that cannot be fed.
 */
export function filled(
  name: string,
  type: string,
  dims: readonly number[],
  valueAt: (index: number) => number,
): HostTensor {
  const data = allocate(name, type, dims);
  for (let index = 0; index < data.length; index++) {
    const value = valueAt(index);
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
      data[index] = BigInt(value);
    } else if (type === 'float16') {
      const pattern = HALF_PATTERNS.get(value);
      if (pattern === undefined) {
        throw new PreconditionError('ERR_DTYPE', `input "${name}" cannot hold ${value} as fp16`);
      }
      data[index] = pattern;
    } else {
      data[index] = value;
    }
  }
  return { type, dims, data };
}

/** Values of all 65536 fp16 patterns, 256 KiB, made at first use. */
let halfValues: Float32Array | undefined;

function halfTable(): Float32Array {
  if (halfValues !== undefined) return halfValues;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    let magnitude: number;
    if (exponent === 0) magnitude = fraction * 2 ** -24;
    else if (exponent < 31) magnitude = (1 + fraction / 1024) * 2 ** (exponent - 15);
    else magnitude = fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
    table[bits] = bits & 0x8000 ? -magnitude : magnitude;
  }
  halfValues = table;
  return table;
}

/**
 * Elements `[begin, end)` as numbers: fp16 widened exactly, integers and booleans as they are (64-bit ones rounded
 * to the nearest double). A view where the storage already holds numbers, else a copy of that range.
 */
export function asNumbers(tensor: HostTensor, begin = 0, end = tensor.data.length): Numbers {
  const { data } = tensor;
  if (tensor.type === 'float16') {
    const table = halfTable();
    const patterns = data.subarray(begin, end) as Uint16Array;
    const values = new Float32Array(patterns.length);
    for (let i = 0; i < patterns.length; i++) values[i] = table[patterns[i] as number] as number;
    return values;
  }
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    return Float64Array.from(data.subarray(begin, end), Number);
  }
  return data.subarray(begin, end);
}

/** Storage whose elements are JavaScript numbers. */
export type Numbers = Exclude<TensorStorage, BigInt64Array | BigUint64Array>;
