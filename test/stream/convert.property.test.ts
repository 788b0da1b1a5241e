/** Casts and new layouts, cut and run in every manner, give the bytes of the reference kernels on whole tensors. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatheError } from '../../src/errors.ts';
import { castFloats, measureCast } from '../../src/kernels/cast.ts';
import { floatByteLength } from '../../src/kernels/float-types.ts';
import {
  type CastParameters,
  packedByteLength,
  type RelayoutParameters,
  relayoutSourceLength,
} from '../../src/kernels/kernel.ts';
import { relayoutFlat, relayoutTransposed } from '../../src/kernels/relayout.ts';
import { loadNative } from '../../src/native.ts';
import { type IoMode, runProgram } from '../../src/stream/executor.ts';
import { combineFolds } from '../../src/stream/folds.ts';
import { runNative } from '../../src/stream/native-executor.ts';
import { ProgramBuilder } from '../../src/stream/program-builder.ts';
import { executors, noise, ScratchFiles } from './scratch-files.ts';

const RUNS = { numRuns: 60 };

const addon = loadNative();

/** TypeScript, and the addon with each instruction set that runs here. */
const machines = [...executors.slice(-1), ...(addon?.info().supported ?? [])];

const manner = fc.record({
  memoryBytes: fc.oneof(
    fc.integer({ min: 4 << 10, max: 64 << 10 }),
    fc.integer({ min: 64 << 10, max: 4 << 20 }),
  ),
  threads: fc.integer({ min: 1, max: 5 }),
  machine: fc.constantFrom(...machines),
  io: fc.constantFrom<IoMode>('mmap', 'pread'),
});

type Manner = typeof manner extends fc.Arbitrary<infer T> ? T : never;

/** Lays out and runs; folds by job. Undefined when the budget was too small: that is an answer, too. */
async function run(
  { memoryBytes, threads, machine, io }: Manner,
  add: (b: ProgramBuilder) => void,
) {
  const builder = new ProgramBuilder({ memoryBytes, threads });
  try {
    add(builder);
  } catch (error) {
    if (error instanceof LatheError && error.code === 'ERR_MEMORY_BUDGET') return undefined;
    throw error;
  }
  const program = builder.finish();
  if (addon === undefined || machine === 'typescript') {
    return (await runProgram(program, { executor: 'typescript', io })).folds;
  }
  const control = { threads, mapped: io === 'mmap', isa: machine, flushes: true };
  const done = await runNative(addon, program, {
    ...control,
    signal: undefined,
    onBytes: undefined,
  });
  return combineFolds(program, done.folds);
}

const cast = fc
  .record({
    from: fc.constantFrom<1 | 10 | 16>(1, 10, 16),
    to: fc.constantFrom<1 | 10 | 16>(1, 10, 16),
    saturate: fc.boolean(),
    count: fc.integer({ min: 1, max: 3000 }),
  })
  .filter(({ from, to }) => from !== to);

/** Any bit pattern, among them those around which the result changes. */
function anyElements({ from, count }: CastParameters, seed: number): Uint8Array {
  const bytes = noise(count * floatByteLength(from), seed);
  if (from !== 1) return bytes;
  const view = new DataView(bytes.buffer);
  const ends = [0x477fefff, 0x477ff000, 0x33000000, 0x33000001, 0x387fdfff, 0x387fe000, 0x38800000];
  const wide = [0x7f7f7fff, 0x7f7f8000, 0x7f7fffff, 0x8000, 0x8001, 0x7f7fff, 0x7f8000, 0x800000];
  const kinds = [...ends, ...wide, 0, 1, 0x7f800000, 0x7f800001, 0x7fc00000, 0x3f801000];
  for (let i = 0; i < count; i += 3) {
    const kind = kinds[(i / 3 + seed) % kinds.length] ?? 0;
    view.setUint32(i * 4, (kind | (i % 2 === 0 ? 0 : 0x80000000)) >>> 0, true);
  }
  return bytes;
}

test('a cast gives the bytes of the reference, and its measure the same numbers', async () => {
  await fc.assert(
    fc.asyncProperty(
      cast,
      fc.nat({ max: 1 << 20 }),
      manner,
      fc.nat({ max: 9 }),
      async (parameters, seed, how, gap) => {
        using files = new ScratchFiles();
        const weight = anyElements(parameters, seed);
        const expected = new Uint8Array(parameters.count * floatByteLength(parameters.to));
        castFloats(parameters, weight, expected);
        const source = files.source(weight, gap, 3);
        const file = files.output(0);
        let job = -1;
        const folds = await run(how, (builder) => {
          builder.addCast(parameters, source, { file, byteOffset: gap });
          job = builder.addMeasureCast(parameters, source);
        });
        if (folds === undefined) return;
        expect(Buffer.compare(readFileSync(file.path).subarray(gap), expected)).toBe(0);
        expect(folds.get(job)).toEqual({
          kernel: 'measure-cast',
          ...measureCast(parameters, weight),
        });
      },
    ),
    RUNS,
  );
});

const matrix: fc.Arbitrary<RelayoutParameters> = fc.record({
  bits: fc.constantFrom(2, 4, 8, 16, 32),
  rows: fc.integer({ min: 1, max: 700 }),
  columns: fc.integer({ min: 1, max: 300 }),
  transposed: fc.boolean(),
  flip: fc.boolean(),
});

test('a new layout has the bytes of the reference', async () => {
  await fc.assert(
    fc.asyncProperty(
      matrix,
      fc.nat({ max: 1 << 20 }),
      manner,
      fc.nat({ max: 9 }),
      async (parameters, seed, how, gap) => {
        using files = new ScratchFiles();
        const { bits, rows, columns, transposed } = parameters;
        const matrix = noise(relayoutSourceLength(parameters), seed);
        const row = packedByteLength(bits, rows);
        const expected = new Uint8Array(transposed ? columns * row : matrix.length);
        if (transposed) {
          const rowStride = packedByteLength(bits, columns);
          const tile = { source: matrix, rowStride, rows, columns, target: expected };
          relayoutTransposed(parameters, { ...tile, columnStride: row });
        } else {
          relayoutFlat(parameters, matrix, expected);
        }
        const source = files.source(matrix, gap, 3);
        const file = files.output(0);
        const folds = await run(how, (builder) => {
          builder.addRelayout(parameters, source, { file, byteOffset: gap });
        });
        if (folds === undefined) return;
        expect(Buffer.compare(readFileSync(file.path).subarray(gap), expected)).toBe(0);
      },
    ),
    RUNS,
  );
});
