import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StreamingGates } from '../../src/recipes/gates.ts';
import { compareCorners } from '../../src/recipes/table-corner.ts';
import type { FloatTable } from '../../src/surgeries/gates.ts';
import { closeSource, openSource } from '../support/source-file.ts';

/** Enough for a look at the corner to come first. */
const N = 20_000;
const K = 256;

interface Place {
  readonly row: number;
  readonly element: number;
}

/** Number `index` of both tables. */
const numberAt = (index: number) => index % 8191;

/** The table by rows, then by columns. */
function tables(): Float32Array {
  const values = new Float32Array(2 * N * K);
  for (let row = 0; row < N; row++) {
    for (let element = 0; element < K; element++) {
      const index = row * K + element;
      values[index] = numberAt(index);
      values[N * K + element * N + row] = numberAt(index);
    }
  }
  return values;
}

let path = '';
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), 'lathe-corner-')), 'data');
  writeFileSync(path, tables());
});
afterAll(() => rmSync(dirname(path), { recursive: true }));

/** Writes a number of the table by columns. */
function change({ row, element }: Place, number: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Float32Array.of(number), 0, 4, 4 * (N * K + element * N + row));
  closeSync(fd);
}

/** Runs `body` on both tables, which differ at one place if any. */
async function withTables<T>(
  place: Place | undefined,
  body: (rows: FloatTable, columns: FloatTable) => Promise<T>,
): Promise<T> {
  if (place !== undefined) change(place, -1);
  const file = openSource(path);
  const byteLength = 4 * N * K;
  const range = (byteOffset: number) => ({ kind: 'range', file, byteOffset, byteLength }) as const;
  try {
    return await body(
      { range: range(0), type: 1, layout: 'rows', n: N, k: K },
      { range: range(byteLength), type: 1, layout: 'columns', n: N, k: K },
    );
  } finally {
    closeSource(file);
    if (place !== undefined) change(place, numberAt(place.row * K + place.element));
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
