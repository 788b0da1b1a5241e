/** The first elements of the first rows of two tables: where tables that are not one usually differ already. */

import { floatByteLength } from '../kernels/float-types.ts';
import type { Comparison, FloatTable } from '../surgeries/gates.ts';
import { readRange } from './read-range.ts';

const CORNER_ROWS = 64;
const CORNER_ELEMENTS = 256;

/** The corner of a table as [rows, elements], whatever way the table is stored. */
async function readCorner(table: FloatTable, rows: number, elements: number): Promise<Buffer> {
  const size = floatByteLength(table.type);
  const corner = Buffer.alloc(rows * elements * size);
  if (table.layout === 'rows') {
    for (let row = 0; row < rows; row++) {
      const target = corner.subarray(row * elements * size, (row + 1) * elements * size);
      await readRange(table.range, row * table.k * size, target);
    }
    return corner;
  }
  const line = Buffer.alloc(rows * size);
  for (let element = 0; element < elements; element++) {
    await readRange(table.range, element * table.n * size, line);
    for (let row = 0; row < rows; row++) {
      line.copy(corner, (row * elements + element) * size, row * size, (row + 1) * size);
    }
  }
  return corner;
}

/** Compares the corners, at most 64 rows of 256 elements, bit for bit. */
export async function compareCorners(
  a: FloatTable,
  b: FloatTable,
): Promise<Comparison & { readonly bytesRead: number }> {
  const rows = Math.min(CORNER_ROWS, a.n);
  const elements = Math.min(CORNER_ELEMENTS, a.k);
  const size = floatByteLength(a.type);
  const [left, right] = [await readCorner(a, rows, elements), await readCorner(b, rows, elements)];
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
