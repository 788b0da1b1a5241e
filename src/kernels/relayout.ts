/** The same codes or scales in another layout: transposed, or with signs; the native kernels give the same bytes. Pure. */

import type { RelayoutParameters } from './kernel.ts';

/** What turns over the top bits of a byte of elements; 16 and 32 bits have their top bit in their last byte. */
function flipMask(bits: RelayoutParameters['bits']): number {
  return { 2: 0xaa, 4: 0x88, 8: 0x80, 16: 0x80, 32: 0x80 }[bits];
}

/** Copies whole elements, their top bits turned over when `flip` is set. */
export function relayoutFlat(
  { bits, flip }: Pick<RelayoutParameters, 'bits' | 'flip'>,
  source: Uint8Array,
  target: Uint8Array,
): void {
  const mask = flip ? flipMask(bits) : 0;
  const step = Math.max(1, bits / 8);
  for (let i = 0; i < source.length; i++) {
    const isTop = i % step === step - 1;
    target[i] = (source[i] as number) ^ (isTop ? mask : 0);
  }
}

/** A part of a matrix on its way to its transpose. */
export interface TransposeTile {
  readonly source: Uint8Array;
  /** Distance of rows in `source`, which begins at a whole byte of each. */
  readonly rowStride: number;
  readonly rows: number;
  readonly columns: number;
  /** Place of the first of `rows` elements of the first column: a whole byte. */
  readonly target: Uint8Array;
  /** Distance of the columns in `target`. */
  readonly columnStride: number;
}

/** Writes the columns of a tile as rows. */
export function relayoutTransposed(
  { bits, flip }: Pick<RelayoutParameters, 'bits' | 'flip'>,
  tile: TransposeTile,
): void {
  if (bits >= 8) transposeWide(bits, flip, tile);
  else transposePacked(bits as 2 | 4, flip, tile);
}

function transposeWide(
  bits: RelayoutParameters['bits'],
  flip: boolean,
  { source, rowStride, rows, columns, target, columnStride }: TransposeTile,
): void {
  const size = bits / 8;
  const mask = flip ? flipMask(bits) : 0;
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const from = row * rowStride + column * size;
      const to = column * columnStride + row * size;
      for (let i = 0; i < size; i++) target[to + i] = source[from + i] as number;
      target[to + size - 1] = (target[to + size - 1] as number) ^ mask;
    }
  }
}

function transposePacked(
  bits: 2 | 4,
  flip: boolean,
  { source, rowStride, rows, columns, target, columnStride }: TransposeTile,
): void {
  const perByte = 8 / bits;
  const ones = (1 << bits) - 1;
  const mask = flip ? flipMask(bits) : 0;
  // As the quantizers leave it, whichever sign the codes have.
  const unused = (1 << (bits - 1)) ^ (mask & ones);
  for (let column = 0; column < columns; column++) {
    const from = Math.floor(column / perByte);
    const shift = (column % perByte) * bits;
    for (let first = 0; first < rows; first += perByte) {
      let packed = 0;
      for (let i = 0; i < perByte; i++) {
        const row = first + i;
        const code =
          row < rows ? ((source[row * rowStride + from] as number) >> shift) & ones : unused;
        packed |= code << (i * bits);
      }
      target[column * columnStride + first / perByte] = packed ^ mask;
    }
  }
}
