/** Rows of packed codes whose last byte may hold bits that mean nothing. Pure. */

import { ceilDiv } from '../bytes.ts';

/** Rows of `byteLength` bytes, of which the last counts only where `lastByteMask` has ones. */
export interface PackedRows {
  readonly byteLength: number;
  readonly lastByteMask: number;
}

/** Rows of `count` packed codes; undefined when they fill their bytes, so that every bit counts. */
export function paddedRows(count: number, bits: number): PackedRows | undefined {
  const used = (count * bits) % 8;
  if (used === 0) return undefined;
  return { byteLength: ceilDiv(count * bits, 8), lastByteMask: 2 ** used - 1 };
}

/** What {@link comparePacked} found. */
export interface PackedComparison {
  readonly different: number;
  /** The first byte that differs. */
  readonly firstIndex: number | undefined;
}

/** Counts the bytes in which two runs of whole rows differ. */
export function comparePacked(
  a: Uint8Array,
  b: Uint8Array,
  rows: PackedRows | undefined,
): PackedComparison {
  let different = 0;
  let firstIndex: number | undefined;
  for (let index = 0; index < a.byteLength; index++) {
    const isLast = rows !== undefined && (index + 1) % rows.byteLength === 0;
    const bits = ((a[index] ?? 0) ^ (b[index] ?? 0)) & (isLast ? rows.lastByteMask : 0xff);
    if (bits === 0) continue;
    different++;
    firstIndex ??= index;
  }
  return { different, firstIndex };
}
