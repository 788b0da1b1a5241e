import { describe, expect, it } from 'vitest';
import { type ComparedRange, type CompareResult, compareBits } from '../../src/kernels/compare.ts';
import { randomNumbers } from './arbitrary-weights.ts';
import { transposed } from './quantized-buffers.ts';

const ROWS = 70;
const COLUMNS = 9;

function bytesOf(elementBytes: number): Uint8Array {
  const random = randomNumbers(elementBytes);
  return Uint8Array.from({ length: ROWS * COLUMNS * elementBytes }, () => random() * 256);
}

function byRows(bytes: Uint8Array, elementBytes: number): ComparedRange {
  return { bytes, rowStride: COLUMNS * elementBytes, columnStride: elementBytes };
}

describe('compareBits', () => {
  it.each([1, 2, 4, 8] as const)('compares %i-byte elements, transposed or not', (size) => {
    const bytes = bytesOf(size);
    const a = byRows(bytes, size);
    const other = transposed(bytes, ROWS, COLUMNS, size);
    const b = { bytes: other, rowStride: size, columnStride: ROWS * size };
    const same = { compared: ROWS * COLUMNS, different: 0, firstIndex: -1 };
    expect(compareBits(size, a, byRows(bytes.slice(), size), ROWS, COLUMNS, 0)).toEqual(same);
    expect(compareBits(size, a, b, ROWS, COLUMNS, 0)).toEqual(same);
    for (const [row, column] of [
      [41, 3],
      [5, 8],
    ] as const) {
      const at = (column * ROWS + row) * size + size - 1;
      other[at] = (other[at] as number) ^ 1;
    }
    expect(compareBits(size, a, b, ROWS, COLUMNS, 1000)).toEqual({
      compared: ROWS * COLUMNS,
      different: 2,
      firstIndex: 1005 * COLUMNS + 8,
    });
  });

  it('tells apart +0 and -0, which are equal as numbers', () => {
    const a = { bytes: new Uint8Array(4), rowStride: 4, columnStride: 4 };
    const b = { ...a, bytes: Uint8Array.of(0, 0, 0, 0x80) };
    expect(compareBits(4, a, b, 1, 1, 0).different).toBe(1);
  });

  it('finds the same in tiles', () => {
    const a = bytesOf(2);
    const b = a.slice();
    for (const at of [301, 302, 900]) b[at] = (b[at] as number) ^ 0x10;
    const whole = compareBits(2, byRows(a, 2), byRows(b, 2), ROWS, COLUMNS, 0);
    const parts: CompareResult[] = [];
    for (let row = 0; row < ROWS; row += 7) {
      const from = row * COLUMNS * 2;
      const [left, right] = [a, b].map((bytes) => byRows(bytes.subarray(from), 2));
      if (left && right) parts.push(compareBits(2, left, right, 7, COLUMNS, row));
    }
    expect({
      compared: parts.reduce((sum, { compared }) => sum + compared, 0),
      different: parts.reduce((sum, { different }) => sum + different, 0),
      firstIndex: parts.find(({ firstIndex }) => firstIndex >= 0)?.firstIndex,
    }).toEqual(whole);
    expect(whole.firstIndex).toBe(150);
  });
});
