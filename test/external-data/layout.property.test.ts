import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PreconditionError } from '../../src/errors.ts';
import {
  alignmentOf,
  type Layout,
  layOut,
  MOST_DATA_FILES,
} from '../../src/external-data/layout.ts';

/** Lengths around the places where rules change: nothing, a cache line, a page, 1 MiB. */
const length = fc.oneof(
  fc.integer({ min: 1, max: 200 }),
  fc.integer({ min: 4000, max: 9000 }),
  fc.integer({ min: 2 ** 20 - 2, max: 2 ** 20 + 2 }),
  fc.integer({ min: 1, max: 2 ** 34 }),
);
const lengths = fc.array(length, { minLength: 1, maxLength: 60 });
const layout: fc.Arbitrary<Layout> = fc.record(
  {
    align: fc.integer({ min: 0, max: 30 }).map((power) => 2 ** power),
    maxFileSize: fc.integer({ min: 1, max: 2 ** 35 }),
  },
  { requiredKeys: [] },
);

it('places every run whole, aligned, after the one before it', () => {
  fc.assert(
    fc.property(lengths, layout, (runs, options) => {
      const { files, byteOffsets, byteLengths } = layOut(runs, options);
      expect([files.length, byteOffsets.length]).toEqual([runs.length, runs.length]);
      const ends = byteLengths.map(() => 0);
      let last = 0;
      files.forEach((file, index) => {
        const byteOffset = byteOffsets[index] as number;
        const byteLength = runs[index] ?? 0;
        expect(byteOffset % alignmentOf(byteLength, options)).toBe(0);
        expect(byteOffset).toBeGreaterThanOrEqual(ends[file] ?? 0);
        // No more padding than the alignment takes.
        expect(byteOffset - (ends[file] ?? 0)).toBeLessThan(alignmentOf(byteLength, options));
        expect(file === last || file === last + 1).toBe(true);
        last = file;
        ends[file] = byteOffset + byteLength;
      });
      expect(ends).toEqual(byteLengths);
    }),
  );
});

it('keeps files within the limit, but for a run that is longer alone', () => {
  fc.assert(
    fc.property(lengths, layout, (runs, options) => {
      const { files, byteOffsets, byteLengths } = layOut(runs, options);
      const { maxFileSize } = options;
      if (maxFileSize === undefined) {
        expect(byteLengths).toHaveLength(1);
        return;
      }
      byteLengths.forEach((byteLength, file) => {
        const alone = files.filter((of) => of === file).length === 1;
        expect(byteLength <= maxFileSize || alone).toBe(true);
      });
      // A file is begun only when there is no room in the one before.
      files.forEach((file, index) => {
        const byteOffset = byteOffsets[index] as number;
        if (byteOffset > 0 || file === 0) return;
        const byteLength = runs[index] ?? 0;
        const alignment = alignmentOf(byteLength, options);
        const start = Math.ceil((byteLengths[file - 1] ?? 0) / alignment) * alignment;
        expect(start + byteLength).toBeGreaterThan(maxFileSize);
      });
    }),
  );
});

it('refuses more files than loaders take, with a size that is enough', () => {
  const many = fc.array(length, { minLength: MOST_DATA_FILES + 1, maxLength: 400 });
  fc.assert(
    fc.property(many, layout, fc.integer({ min: 1, max: 2000 }), (runs, options, maxFileSize) => {
      let error: unknown;
      try {
        const { byteLengths } = layOut(runs, { ...options, maxFileSize });
        expect(byteLengths.length).toBeLessThanOrEqual(MOST_DATA_FILES);
        return;
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(PreconditionError);
      const { message, hint, details } = error as PreconditionError;
      expect(message).toMatch(/ would be \d+, a model may have 100$/);
      const enough = details['maxFileSize'] as number;
      expect(hint).toBe(`a size of ${enough / 2 ** 20}MiB is enough`);
      expect(layOut(runs, { ...options, maxFileSize: enough }).byteLengths.length).toBeLessThan(
        101,
      );
    }),
  );
});
