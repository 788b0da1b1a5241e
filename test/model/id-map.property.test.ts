import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdMap } from '../../src/model/id-map.ts';

test('is a Map of whole numbers', () => {
  const entries = fc.array(fc.tuple(fc.nat(300), fc.nat()), { maxLength: 200 });
  fc.assert(
    fc.property(entries, (list) => {
      const map = new IdMap(list.length);
      const expected = new Map(list);
      for (const [key, value] of list) map.set(key, value);
      for (let key = 0; key <= 301; key++) expect(map.get(key)).toBe(expected.get(key) ?? -1);
      expect([...map.keys()].sort((a, b) => a - b)).toEqual(
        [...expected.keys()].sort((a, b) => a - b),
      );
    }),
  );
});
