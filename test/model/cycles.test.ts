import { describe, expect, it } from 'vitest';
import { findCycles } from '../../src/model/cycles.ts';

describe('findCycles', () => {
  it('finds none in a graph without any', () => {
    const { paths, isSame } = findCycles(3, (vertex) => [[], [0], [0, 1]][vertex] ?? []);
    expect(paths).toEqual([]);
    expect(isSame(0, 1)).toBe(false);
    expect(isSame(1, 1)).toBe(false);
  });

  it('gives a shortest cycle of each group, in the order of what depends on what', () => {
    // 0 → 1 → 2 → 0 and 0 → 2; 3 → 3; 4 leads into the first group and is on no cycle.
    const edges = [[1, 2], [2], [0], [3], [0]];
    const { paths, isSame } = findCycles(edges.length, (vertex) => edges[vertex] ?? []);
    expect(paths).toEqual([[0, 2], [3]]);
    expect(isSame(1, 2)).toBe(true);
    expect(isSame(2, 3)).toBe(false);
    expect(isSame(4, 0)).toBe(false);
  });

  it('needs no stack for a long chain, nor for a long cycle', () => {
    const count = 300_000;
    expect(findCycles(count, (vertex) => (vertex > 0 ? [vertex - 1] : [])).paths).toEqual([]);
    const { paths } = findCycles(count, (vertex) => [(vertex + 1) % count]);
    expect(paths.map(({ length }) => length)).toEqual([count]);
    expect(paths[0]?.slice(0, 3)).toEqual([0, 1, 2]);
  });
});
