import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createIdMap } from '../../src/model/id-map.ts';

test.each([
  ['dense', 301],
  ['dense and growing', 1],
  ['sparse', 1_000_000],
])('a %s map is a Map of whole numbers', (_, keyCount) => {
  const entries = fc.array(fc.tuple(fc.nat(300), fc.nat(2 ** 30)), { maxLength: 200 });
  fc.assert(
    fc.property(entries, (list) => {
      const map = createIdMap(Math.max(76, list.length), keyCount);
      const expected = new Map(list);
      for (const [key, value] of list) map.set(key, value);
      for (let key = 0; key <= 301; key++) expect(map.get(key)).toBe(expected.get(key) ?? -1);
      expect([...map.keys()].sort((a, b) => a - b)).toEqual(
        [...expected.keys()].sort((a, b) => a - b),
      );
    }),
  );
});
