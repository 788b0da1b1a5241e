import fc from 'fast-check';
import { expect, it } from 'vitest';
import { findCycles } from '../../src/model/cycles.ts';

const graphs = fc.integer({ min: 0, max: 9 }).chain((count) =>
  fc.array(fc.uniqueArray(fc.nat(Math.max(0, count - 1)), { maxLength: 3 }), {
    minLength: count,
    maxLength: count,
  }),
);

/** Whether one or more edges lead from `from` to `to`. */
function reaches(edges: readonly (readonly number[])[], from: number, to: number): boolean {
  const seen = new Set<number>();
  const pending = [...(edges[from] ?? [])];
  for (let vertex = pending.pop(); vertex !== undefined; vertex = pending.pop()) {
    if (seen.has(vertex)) continue;
    seen.add(vertex);
    pending.push(...(edges[vertex] ?? []));
  }
  return seen.has(to);
}

it('finds the vertices that reach each other, and a cycle of each group', () => {
  fc.assert(
    fc.property(graphs, (edges) => {
      const { paths, isSame } = findCycles(edges.length, (vertex) => edges[vertex] ?? []);
      for (const a of edges.keys()) {
        for (const b of edges.keys()) {
          expect(isSame(a, b)).toBe(reaches(edges, a, b) && reaches(edges, b, a));
        }
      }
      for (const path of paths) {
        for (const [index, vertex] of path.entries()) {
          expect(edges[vertex]).toContain(path[(index + 1) % path.length]);
        }
        expect(new Set(path).size).toBe(path.length);
      }
      // One of each group, and none of those alone.
      const onCycles = [...edges.keys()].filter((vertex) => reaches(edges, vertex, vertex));
      for (const vertex of onCycles) {
        expect(paths.filter((path) => isSame(path[0] ?? -1, vertex))).toHaveLength(1);
      }
    }),
    { numRuns: 500 },
  );
});
