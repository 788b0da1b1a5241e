import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TileList } from '../../src/stream/tile-list.ts';
import {
  alongChannels,
  alongElements,
  piecesOf,
  tileSeries,
} from '../../src/stream/tile-series.ts';

test('pieces cover a length once, in order', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 300 }), (length, step) => {
      let end = 0;
      for (const { start, size, count } of piecesOf(length, step)) {
        expect(start).toBe(end);
        expect(size).toBeLessThanOrEqual(step);
        end += size * count;
      }
      expect(end).toBe(length);
    }),
  );
});

test('the tiles of a series are those it was made of', () => {
  const step = fc.nat(1 << 20);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), step, step, step, (count, a, b, c) => {
      const make = (index: number) => ({
        job: 3,
        ...alongElements({ start: a, size: 64, count }, b, 5).at(index),
        inputs: [
          {
            file: 0,
            byteOffset: a + index * b,
            segmentByteLength: 8,
            segments: 2,
            strideBytes: 16,
          },
          { file: -1, byteOffset: c, segmentByteLength: 4, segments: 1, strideBytes: 4 },
        ],
        outputs: [{ file: 1, byteOffset: b + index * c }],
      });
      const tiles = new TileList();
      const series = tileSeries(count, make);
      for (let index = 0; index < count; index++) tiles.push(series, index, index);
      for (let index = 0; index < count; index++) {
        expect(tiles.at(index)).toEqual({ ...make(index), after: index });
      }
    }),
  );
});

test('groups of channels follow each other', () => {
  const { count, at } = alongChannels({ start: 10, size: 4, count: 2 }, 128, 64);
  const channels = Array.from({ length: count }, (_, index) => at(index).firstChannel);
  expect(channels).toEqual([10, 14]);
});
