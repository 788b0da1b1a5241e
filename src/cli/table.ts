/** Plain tables for people: columns aligned by spaces, no lines, safe to pipe. Pure. */

import { printable } from './printable.ts';

/** A column's alignment. */
export type Alignment = 'left' | 'right';

/** Longest cell, in characters: one long name must not push the columns after it off the screen. */
const LONGEST_CELL = 400;

function cellText(cell: string): string {
  const text = printable(cell);
  return text.length <= LONGEST_CELL ? text : `${text.slice(0, LONGEST_CELL)}…`;
}

/**
 * Lines of a table; trailing spaces are cut. Cells may hold any text, which is made printable and cut at 400
 * characters; a row may be shorter than the widest.
 */
export function formatTable(
  cells: readonly (readonly string[])[],
  alignments: readonly Alignment[] = [],
  indent = '',
): string {
  const rows = cells.map((row) => row.map(cellText));
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows
    .map((row) => {
      const padded = row.map((cell, column) => {
        const width = widths[column] ?? 0;
        return alignments[column] === 'right' ? cell.padStart(width) : cell.padEnd(width);
      });
      return `${indent}${padded.join('  ')}`.trimEnd();
    })
    .join('\n');
}

/** `1 tensor`, `2 tensors`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
