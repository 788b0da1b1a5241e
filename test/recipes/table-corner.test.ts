import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { StreamingGates } from '../../src/recipes/gates.ts';
import { compareCorners } from '../../src/recipes/table-corner.ts';
import type { FloatTable } from '../../src/surgeries/gates.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { closeSource, openSource } from '../support/source-file.ts';

const scratch = useScratchDirectory();

/** Enough for a look at the corner to come first. */
const N = 20_000;
const K = 256;

function numbers(change?: { readonly row: number; readonly element: number }): Float32Array {
  const values = Float32Array.from({ length: N * K }, (_, index) => index % 8191);
  if (change !== undefined) values[change.row * K + change.element] = -1;
  return values;
}

function transposed(values: Float32Array): Float32Array {
  const turned = new Float32Array(N * K);
  for (let row = 0; row < N; row++) {
    for (let element = 0; element < K; element++) {
      turned[element * N + row] = values[row * K + element] ?? 0;
    }
  }
  return turned;
}

async function withTables<T>(
  change: { readonly row: number; readonly element: number } | undefined,
  body: (rows: FloatTable, columns: FloatTable) => Promise<T>,
): Promise<T> {
  const path = scratch('data');
  const [a, b] = [numbers(), transposed(numbers(change))];
  writeFileSync(path, Buffer.concat([Buffer.from(a.buffer), Buffer.from(b.buffer)]));
  const file = openSource(path);
  const range = (byteOffset: number) =>
    ({ kind: 'range', file, byteOffset, byteLength: a.byteLength }) as const;
  try {
    return await body(
      { range: range(0), type: 1, layout: 'rows', n: N, k: K },
      { range: range(a.byteLength), type: 1, layout: 'columns', n: N, k: K },
    );
  } finally {
    closeSource(file);
  }
}

const gates = () => new StreamingGates({ memoryBytes: 2 ** 22, threads: 1, io: 'auto' });

it('sees a difference in the corner, however the tables are stored', async () => {
  await withTables({ row: 63, element: 255 }, async (rows, columns) => {
    const expected = { compared: 64 * 256, different: 1, first: { row: 63, element: 255 } };
    expect(compareCorners(rows, columns)).toMatchObject(expected);
    expect(compareCorners(columns, rows)).toMatchObject(expected);
    const asked = gates();
    expect(await asked.compareTables(rows, columns)).toMatchObject(expected);
    expect(asked.bytesRead).toBe(2 * 64 * 256 * 4);
  });
});

it('decides nothing when the corners agree: the last element still counts', async () => {
  await withTables({ row: N - 1, element: K - 1 }, async (rows, columns) => {
    expect(compareCorners(rows, columns).different).toBe(0);
    const asked = gates();
    expect(await asked.compareTables(rows, columns)).toEqual({
      compared: N * K,
      different: 1,
      first: { row: N - 1, element: K - 1 },
    });
  });
});

it('accepts only after everything was read', async () => {
  await withTables(undefined, async (rows, columns) => {
    const asked = gates();
    expect(await asked.compareTables(columns, rows)).toMatchObject({ different: 0 });
    expect(asked.bytesRead).toBeGreaterThanOrEqual(2 * N * K * 4);
  });
});
