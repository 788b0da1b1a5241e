import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FileRange } from '../../src/model/tensor-data.ts';
import { StreamingGates } from '../../src/recipes/gates.ts';
import { comparePacked, paddedRows } from '../../src/surgeries/packed-rows.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { closeSource, openSource } from '../support/source-file.ts';
import { randomNumbers, tensorOf } from '../support/tensor-values.ts';

const scratch = useScratchDirectory();

/** Two byte runs in one file, with something before and between them. */
async function withRanges<T>(
  a: Uint8Array,
  b: Uint8Array,
  body: (a: FileRange, b: FileRange, gates: StreamingGates) => Promise<T>,
): Promise<T> {
  const path = scratch('data');
  writeFileSync(path, Buffer.concat([Buffer.alloc(64), a, Buffer.alloc(192), b]));
  const file = openSource(path);
  const range = (byteOffset: number, byteLength: number): FileRange => ({
    kind: 'range',
    file,
    byteOffset,
    byteLength,
  });
  try {
    const gates = new StreamingGates({ memoryBytes: 2 ** 20, threads: 1, io: 'auto' });
    return await body(range(64, a.byteLength), range(64 + a.byteLength + 192, b.byteLength), gates);
  } finally {
    closeSource(file);
  }
}

const N = 300;
const K = 40;

/** A [N, K] table as stored in a layout, with `value` at one place. */
function stored(layout: 'rows' | 'columns', change?: { row: number; element: number }): Uint8Array {
  const numbers = randomNumbers(N * K, 3);
  if (change !== undefined) numbers[change.row * K + change.element] = 9;
  if (layout === 'rows') return tensorOf(1, [N, K], numbers).bytes;
  const turned = new Float64Array(N * K);
  for (let n = 0; n < N; n++) {
    for (let k = 0; k < K; k++) turned[k * N + n] = numbers[n * K + k] ?? 0;
  }
  return tensorOf(1, [K, N], turned).bytes;
}

describe('comparing float tables', () => {
  const layouts = ['rows', 'columns'] as const;

  it.each(layouts.flatMap((a) => layouts.map((b) => [a, b] as const)))(
    'stored in %s and in %s finds the place of a difference',
    async (a, b) => {
      const change = { row: 211, element: 17 };
      await withRanges(stored(a), stored(b, change), async (left, right, gates) => {
        const table = (range: FileRange, layout: 'rows' | 'columns') =>
          ({ range, type: 1, layout, n: N, k: K }) as const;
        const found = await gates.compareTables(table(left, a), table(right, b));
        expect(found).toEqual({ compared: N * K, different: 1, first: change });
        expect(gates.bytesRead).toBe(2 * N * K * 4);
      });
      await withRanges(stored(a), stored(b), async (left, right, gates) => {
        const table = (range: FileRange, layout: 'rows' | 'columns') =>
          ({ range, type: 1, layout, n: N, k: K }) as const;
        const found = await gates.compareTables(table(left, a), table(right, b));
        expect(found).toEqual({ compared: N * K, different: 0, first: undefined });
      });
    },
  );

  it('takes the same bytes for equal without reading them, in the same layout only', async () => {
    await withRanges(stored('rows'), stored('rows'), async (range, _, gates) => {
      const table = { range, type: 1, layout: 'rows', n: N, k: K } as const;
      expect(await gates.compareTables(table, { ...table })).toMatchObject({ different: 0 });
      expect(gates.bytesRead).toBe(0);
      const other = { ...table, layout: 'columns' } as const;
      expect((await gates.compareTables(table, other)).different).toBeGreaterThan(N);
    });
  });
});

describe('comparing packed rows', () => {
  it('is what a look at every code says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(2, 4, 8),
        fc.integer({ min: 1, max: 40 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
        async (count, bits, rows, bytes) => {
          const rowBytes = Math.ceil((count * bits) / 8);
          const take = () =>
            Uint8Array.from({ length: rows * rowBytes }, () => bytes.next().value & 0x81);
          const [a, b] = [take(), take()];
          const code = (data: Uint8Array, row: number, index: number) =>
            ((data[row * rowBytes + Math.floor((index * bits) / 8)] ?? 0) >> ((index * bits) % 8)) &
            (2 ** bits - 1);
          const differs = new Set<number>();
          for (let row = 0; row < rows; row++) {
            for (let index = 0; index < count; index++) {
              if (code(a, row, index) !== code(b, row, index)) {
                differs.add(row * rowBytes + Math.floor((index * bits) / 8));
              }
            }
          }
          const padding = paddedRows(count, bits);
          const pure = comparePacked(a, b, padding);
          expect(pure.different).toBe(differs.size);
          expect(pure.firstIndex).toBe(differs.size === 0 ? undefined : Math.min(...differs));
          await withRanges(a, b, async (left, right, gates) => {
            const found = await gates.compareRanges(left, right, padding);
            expect(found.different).toBe(differs.size);
            expect(found.first?.element).toBe(pure.firstIndex);
            expect(found.compared).toBe(a.byteLength);
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  it('goes on over pieces of a large range', async () => {
    const a = new Uint8Array(600_000);
    const b = a.slice();
    b[599_999] = 0x0f;
    b[599_998] = 0xff;
    b[300_000] = 0xf0;
    await withRanges(a, b, async (left, right, gates) => {
      const found = await gates.compareRanges(left, right, { byteLength: 3, lastByteMask: 0x0f });
      expect(found).toEqual({
        compared: 600_000,
        different: 3,
        first: { row: 0, element: 300_000 },
      });
    });
  });
});
