import { describe, expect, it } from 'vitest';
import { formatTable } from '../../src/cli/table.ts';

describe('formatTable', () => {
  it('aligns columns and leaves no spaces at the end of a line', () => {
    const rows = [['name', 'bytes'], ['a', '7', 'more'], ['long name']];
    expect(formatTable(rows, ['left', 'right'], '> ').split('\n')).toEqual([
      '> name       bytes',
      '> a              7  more',
      '> long name',
    ]);
  });

  it('keeps a cell in its place whatever it holds', () => {
    const rows = [
      ['a\nb\u001b[2J', 'x'],
      ['n'.repeat(10_000), 'y'],
    ];
    const lines = formatTable(rows).split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^a\\u000ab\\u001b\[2J +x$/);
    expect(lines[1]).toBe(`${'n'.repeat(400)}…  y`);
  });

  it('of nothing is nothing', () => {
    expect(formatTable([])).toBe('');
  });
});
