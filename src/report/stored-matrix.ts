/** Matrices as they are stored: floats or packed codes, in a file or in memory, read a part at a time. */

import { codeAt } from '../kernels/dequantize.ts';
import { decodeFloats } from '../kernels/float-types.ts';
import type { FloatTypeCode } from '../kernels/kernel.ts';
import type { FileRange } from '../model/tensor-data.ts';
import { loadNative, nativeIsa } from '../native.ts';
import { fileReader } from '../proto/file-reader.ts';

/** What the elements of a matrix are. */
export type ElementFormat =
  | { readonly kind: 'float'; readonly type: FloatTypeCode }
  | { readonly kind: 'code'; readonly bits: 2 | 4 | 8; readonly isSigned: boolean };

/** Rows of elements, packed without gaps over the whole matrix. */
export interface StoredMatrix {
  readonly source: FileRange | Uint8Array;
  readonly rows: number;
  readonly columns: number;
  readonly format: ElementFormat;
}

/** Some rows and columns of a matrix. */
export interface Extent {
  readonly firstRow: number;
  readonly rows: number;
  readonly firstColumn: number;
  readonly columns: number;
}

/** The numbers of a part, row by row. */
export type Numbers = Float32Array | Int8Array | Uint8Array;

export function bitsOf(format: ElementFormat): number {
  if (format.kind === 'code') return format.bits;
  return format.type === 1 ? 32 : 16;
}

function readBytes(source: StoredMatrix['source'], byteOffset: number, byteLength: number) {
  if (source instanceof Uint8Array) return source.subarray(byteOffset, byteOffset + byteLength);
  const { fd, byteLength: fileLength, path } = source.file;
  return fileReader(fd, fileLength, path).read(source.byteOffset + byteOffset, byteLength);
}

/** Packed codes as numbers: `count` of them, `skipped` before. */
function unpack(
  bits: 2 | 4 | 8,
  isSigned: boolean,
  bytes: Uint8Array,
  skipped: number,
  to: Int8Array | Uint8Array,
): void {
  const half = isSigned ? 2 ** (bits - 1) : 0;
  // Two's complement: the upper half of the patterns is negative.
  for (let i = 0; i < to.length; i++) to[i] = (codeAt(bytes, bits, i + skipped) ^ half) - half;
}

/** Elements `first` to `first + to.length` of the flat matrix. */
function readRun({ source, format }: StoredMatrix, first: number, to: Numbers): void {
  const bits = bitsOf(format);
  const start = Math.floor((first * bits) / 8);
  const end = Math.ceil(((first + to.length) * bits) / 8);
  const bytes = readBytes(source, start, end - start);
  const skipped = first - (start * 8) / bits;
  const addon = loadNative();
  if (addon !== undefined) {
    addon.unpackNumbers(nativeIsa(addon), format, bytes, skipped, to);
  } else if (format.kind === 'float') to.set(decodeFloats(format.type, bytes));
  else if (!(to instanceof Float32Array)) {
    unpack(format.bits, format.isSigned, bytes, skipped, to);
  }
}

function emptyNumbers(format: ElementFormat, count: number): Numbers {
  if (format.kind === 'float') return new Float32Array(count);
  return format.isSigned ? new Int8Array(count) : new Uint8Array(count);
}

/** Reads a part of a matrix into memory: four bytes for a float, one for a code. */
export function readPart(matrix: StoredMatrix, extent: Extent): Numbers {
  const { firstRow, rows, firstColumn, columns } = extent;
  const numbers = emptyNumbers(matrix.format, rows * columns);
  if (columns === matrix.columns) {
    readRun(matrix, firstRow * columns, numbers);
    return numbers;
  }
  for (let row = 0; row < rows; row++) {
    const line = numbers.subarray(row * columns, (row + 1) * columns);
    readRun(matrix, (firstRow + row) * matrix.columns + firstColumn, line);
  }
  return numbers;
}
