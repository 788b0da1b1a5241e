/** The first elements of the first rows of two tables: where tables that are not one usually differ already. */

import { floatByteLength } from '../kernels/float-types.ts';
import { fileReader } from '../proto/file-reader.ts';
import type { Comparison, FloatTable } from '../surgeries/gates.ts';

const CORNER_ROWS = 64;
const CORNER_ELEMENTS = 256;

/** The corner of a table as [rows, elements], whatever way the table is stored. */
function readCorner(table: FloatTable, rows: number, elements: number): Buffer {
  const size = floatByteLength(table.type);
  const { file, byteOffset } = table.range;
  const reader = fileReader(file.fd, file.byteLength, file.path);
  const corner = Buffer.alloc(rows * elements * size);
  if (table.layout === 'rows') {
    for (let row = 0; row < rows; row++) {
      const line = reader.read(byteOffset + row * table.k * size, elements * size);
      corner.set(line, row * elements * size);
    }
    return corner;
  }
  for (let element = 0; element < elements; element++) {
    const line = reader.read(byteOffset + element * table.n * size, rows * size);
    for (let row = 0; row < rows; row++) {
      corner.set(line.subarray(row * size, (row + 1) * size), (row * elements + element) * size);
    }
  }
  return corner;
}

/** Compares the corners, at most 64 rows of 256 elements, bit for bit. */
export function compareCorners(
  a: FloatTable,
  b: FloatTable,
): Comparison & { readonly bytesRead: number } {
  const rows = Math.min(CORNER_ROWS, a.n);
  const elements = Math.min(CORNER_ELEMENTS, a.k);
  const size = floatByteLength(a.type);
  const [left, right] = [readCorner(a, rows, elements), readCorner(b, rows, elements)];
  let different = 0;
  let first: Comparison['first'];
  for (let index = 0; index < rows * elements; index++) {
    const at = index * size;
    if (left.compare(right, at, at + size, at, at + size) === 0) continue;
    different++;
    first ??= { row: Math.floor(index / elements), element: index % elements };
  }
  return { compared: rows * elements, different, first, bytesRead: left.byteLength * 2 };
}
