import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CancelledError } from '../../src/errors.ts';
import type { FileRange } from '../../src/model/tensor-data.ts';
import { StreamingGates } from '../../src/recipes/gates.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { closeSource, openSource } from '../support/source-file.ts';

const scratch = useScratchDirectory();

interface Asked {
  readonly gates: StreamingGates;
  readonly ranges: readonly FileRange[];
  readonly progress: readonly number[];
}

/** Runs of bytes one after another in a file. */
async function withRuns<T>(
  runs: readonly Uint8Array[],
  body: (asked: Asked) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const path = scratch('data');
  writeFileSync(path, Buffer.concat(runs));
  const file = openSource(path);
  let byteOffset = 0;
  const ranges = runs.map(({ byteLength }): FileRange => {
    byteOffset += byteLength;
    return { kind: 'range', file, byteOffset: byteOffset - byteLength, byteLength };
  });
  const progress: number[] = [];
  const gates = new StreamingGates({
    memoryBytes: 2 ** 18,
    threads: 1,
    io: 'auto',
    signal,
    onProgress: (done, total) => progress.push(done / total),
  });
  try {
    return await body({ gates, ranges, progress });
  } finally {
    closeSource(file);
  }
}

/** A run of zeros with ones at some places. */
function marked(byteLength: number, places: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (const place of places) bytes[place % byteLength] = 1;
  return bytes;
}

it('finds exactly the equal ones, wherever they differ', async () => {
  const runs = fc.integer({ min: 1, max: 200_000 }).chain((byteLength) =>
    fc.array(
      fc
        .array(fc.nat(byteLength - 1), { maxLength: 2 })
        .map((places) => marked(byteLength, places)),
      { minLength: 1, maxLength: 6 },
    ),
  );
  await fc.assert(
    fc.asyncProperty(runs, runs, fc.nat(2 ** 6 - 1), async (first, second, inMemory) => {
      await withRuns([...first, ...second], async ({ gates, ranges }) => {
        // Some of the first group are in memory.
        const sources = first.map((bytes, index) => {
          return (inMemory >> index) & 1 ? bytes : (ranges[index] as FileRange);
        });
        const groups = [sources, ranges.slice(first.length)];
        const expected = [first, second].map((group) =>
          group.map((bytes) => group.findIndex((other) => Buffer.compare(other, bytes) === 0)),
        );
        expect(await gates.findEqual(groups)).toEqual(expected);
      });
    }),
    { numRuns: 60 },
  );
});

const LENGTH = 2 ** 20;

it('reads all of what is equal and next to nothing of what is not', async () => {
  const random = (seed: number) => Uint8Array.from({ length: LENGTH }, (_, i) => (i * seed) >> 3);
  await withRuns([random(3), random(5), random(7)], async ({ gates, ranges }) => {
    expect(await gates.findEqual([ranges])).toEqual([[0, 1, 2]]);
    expect(gates.bytesRead).toBeLessThan(64 * 1024);
  });
  await withRuns([random(3), random(5), random(3)], async ({ gates, ranges, progress }) => {
    expect(await gates.findEqual([ranges])).toEqual([[0, 1, 0]]);
    expect(gates.bytesRead).toBeGreaterThanOrEqual(2 * LENGTH);
    expect(gates.bytesRead).toBeLessThan(2 * LENGTH + 64 * 1024);
    expect(progress.at(-1)).toBe(1);
  });
});

it('sees a difference that no sample shows', async () => {
  const runs = [[], [9000], [9000], [9001], [9000, 9001], []].map((at) => marked(LENGTH, at));
  await withRuns(runs, async ({ gates, ranges }) => {
    expect(await gates.findEqual([ranges])).toEqual([[0, 1, 1, 3, 4, 0]]);
  });
});

it('compares what is in memory with files, and with what else is in memory', async () => {
  const runs = [[], [9000], [9000], [9001], [9000, 9001], []].map((at) => marked(LENGTH, at));
  await withRuns(runs, async ({ gates, ranges }) => {
    for (const inMemory of [[0], [2, 3], [1, 5], [0, 1, 2, 3, 4, 5]]) {
      const sources = ranges.map((range, at) => (inMemory.includes(at) ? runs[at] : range));
      const [answer] = await gates.findEqual([sources as FileRange[]]);
      expect(answer).toEqual([0, 1, 1, 3, 4, 0]);
    }
  });
});

it('asks nothing of ranges that have no counterpart, and stops when told to', async () => {
  await withRuns([marked(LENGTH, []), marked(99, [])], async ({ gates, ranges }) => {
    expect(await gates.findEqual(ranges.map((range) => [range]))).toEqual([[0], [0]]);
    expect(await gates.findEqual([])).toEqual([]);
    expect(gates.bytesRead).toBe(0);
  });
  const stopped = AbortSignal.abort();
  const twice = [marked(LENGTH, []), marked(LENGTH, [])];
  const asking = withRuns(twice, ({ gates, ranges }) => gates.findEqual([ranges]), stopped);
  await expect(asking).rejects.toThrow(CancelledError);
  const mixed = withRuns(
    twice,
    ({ gates, ranges }) => gates.findEqual([[...ranges.slice(1), ...twice]]),
    stopped,
  );
  await expect(mixed).rejects.toThrow(CancelledError);
});
