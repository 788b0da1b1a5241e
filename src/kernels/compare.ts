/**
 * Do two ranges hold the same elements, one of them possibly transposed? Bit patterns are compared, not numbers. The
 * reference of native/kernels/compare.cc. Pure.
 */

/** One side of a comparison: element (r, c) lies at r * rowStride + c * columnStride, in bytes. */
export interface ComparedRange {
  readonly bytes: Uint8Array;
  readonly rowStride: number;
  readonly columnStride: number;
}

export interface CompareResult {
  readonly compared: number;
  readonly different: number;
  /** row * columns + column of the first difference, -1 when there is none. */
  readonly firstIndex: number;
}

/**
 * Compares `rows` x `columns` elements of `elementBytes` bytes.
 * @param firstRow index of the first row in the whole, which `firstIndex` counts from
 */
export function compareBits(
  elementBytes: 1 | 2 | 4 | 8,
  a: ComparedRange,
  b: ComparedRange,
  rows: number,
  columns: number,
  firstRow: number,
): CompareResult {
  const compared = rows * columns;
  const rowBytes = columns * elementBytes;
  const contiguous = a.columnStride === elementBytes && b.columnStride === elementBytes;
  let different = 0;
  let firstIndex = -1;
  for (let row = 0; row < rows; row++) {
    const aRow = row * a.rowStride;
    const bRow = row * b.rowStride;
    if (contiguous && sameBytes(a.bytes, aRow, b.bytes, bRow, rowBytes)) continue;
    for (let column = 0; column < columns; column++) {
      const inA = aRow + column * a.columnStride;
      const inB = bRow + column * b.columnStride;
      if (sameElement(a.bytes, inA, b.bytes, inB, elementBytes)) continue;
      different++;
      if (firstIndex < 0) firstIndex = (firstRow + row) * columns + column;
    }
  }
  return { compared, different, firstIndex };
}

function sameBytes(
  a: Uint8Array,
  aOffset: number,
  b: Uint8Array,
  bOffset: number,
  byteLength: number,
): boolean {
  const left = Buffer.from(a.buffer, a.byteOffset + aOffset, byteLength);
  return left.compare(b, bOffset, bOffset + byteLength) === 0;
}

function sameElement(
  a: Uint8Array,
  aOffset: number,
  b: Uint8Array,
  bOffset: number,
  byteLength: number,
): boolean {
  for (let i = 0; i < byteLength; i++) {
    if (a[aOffset + i] !== b[bOffset + i]) return false;
  }
  return true;
}
