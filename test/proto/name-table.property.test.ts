import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NameTable, NO_NAME } from '../../src/proto/name-table.ts';

const name = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => Buffer.from(text)),
  // Names of layers: long, and alike but for a digit.
  fc
    .integer({ min: 0, max: 40 })
    .map((layer) => Buffer.from(`model.layers.${layer}.mlp.down_proj`)),
);

test('equal bytes have one number, and the number gives the bytes back', () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 60 }), (names) => {
      const buffer = Buffer.concat(names);
      const table = new NameTable(buffer);
      const numbers = new Map<string, number>();
      let start = 0;
      for (const bytes of names) {
        const end = start + bytes.length;
        const id = table.intern(start, end);
        const key = Buffer.from(bytes).toString('latin1');
        expect(id).toBe(numbers.get(key) ?? id);
        expect(id === NO_NAME).toBe(bytes.length === 0);
        numbers.set(key, id);
        expect(table.internText(table.text(id))).toBe(id);
        expect(table.find(table.peek(id))).toBe(id);
        start = end;
      }
      expect(new Set(numbers.values()).size).toBe(numbers.size);
    }),
  );
});

test('names that are not in the buffer are found among those that are', () => {
  const table = new NameTable(Buffer.from('weightbias'));
  const weight = table.intern(0, 6);
  const made = table.internText('made');
  expect(table.internText('weight')).toBe(weight);
  expect([table.text(weight), table.text(made)]).toEqual(['weight', 'made']);
  expect(table.find('made')).toBe(made);
  expect(table.find('bias')).toBeUndefined();
  expect(table.intern(6, 10)).not.toBe(made);
});

test('ten thousand names are told apart', () => {
  const names = Array.from({ length: 10_000 }, (_, i) => `layers.${i}.weight`);
  const table = new NameTable();
  const ids = names.map((text) => table.internText(text));
  expect(new Set(ids).size).toBe(names.length);
  expect(ids.map((id) => table.text(id))).toEqual(names);
});
