import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatheError } from '../../src/errors.ts';
import { compareBits } from '../../src/kernels/compare.ts';
import { floatByteLength } from '../../src/kernels/float-types.ts';
import type { QuantizeParameters } from '../../src/kernels/kernel.ts';
import { tieGate } from '../../src/kernels/tie-gate.ts';
import { type IoMode, runProgram } from '../../src/stream/executor.ts';
import { ProgramBuilder } from '../../src/stream/program-builder.ts';
import { oliveFormats } from '../kernels/arbitrary-weights.ts';
import { executors, noise, ScratchFiles } from './scratch-files.ts';
import { measureWhole, quantizeWhole, randomWeight, transpose } from './weights.ts';

const RUNS = { numRuns: 60 };

const parameters: fc.Arbitrary<QuantizeParameters> = fc.record({
  method: fc.constantFrom('rtn', 'search', 'k-quant'),
  type: fc.constantFrom(1, 10, 16),
  bits: fc.constantFrom(2, 4, 8),
  blockSize: fc.constantFrom(16, 32, 64, 128, 256),
  symmetric: fc.boolean(),
  layout: fc.constantFrom('rows', 'columns'),
  n: fc.integer({ min: 1, max: 150 }),
  k: fc.integer({ min: 1, max: 700 }),
});

const anyParameters = fc.oneof(
  { weight: 3, arbitrary: parameters },
  { weight: 1, arbitrary: oliveFormats(150, 300) },
);

/** How the work is cut and run: none of it may show in the bytes. From a few KiB on, so that everything is cut. */
const manner = fc.record({
  memoryBytes: fc.oneof(
    fc.integer({ min: 4 << 10, max: 64 << 10 }),
    fc.integer({ min: 64 << 10, max: 4 << 20 }),
  ),
  threads: fc.integer({ min: 1, max: 5 }),
  executor: fc.constantFrom(...executors),
  io: fc.constantFrom<IoMode>('auto', 'mmap', 'pread'),
});

const seed = fc.integer({ min: 0, max: 1 << 20 });

function flip(bytes: Uint8Array, index: number, mask: number): void {
  const at = index % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ mask;
}

/** Runs `work`, or passes when the budget was too small for it: that is an answer, too. */
async function orTooSmall(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof LatheError) || error.code !== 'ERR_MEMORY_BUDGET') throw error;
  }
}

test('quantizing gives the bytes of the whole tensor at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(anyParameters, seed), { minLength: 1, maxLength: 4 }),
      manner,
      fc.integer({ min: 0, max: 100 }),
      async (weights, { memoryBytes, threads, executor, io }, gap) => {
        using files = new ScratchFiles();
        await orTooSmall(async () => {
          const builder = new ProgramBuilder({ memoryBytes, threads });
          const file = files.output(0);
          const expected: { byteOffset: number; bytes: Uint8Array }[] = [];
          let end = 0;
          const place = (bytes: Uint8Array) => {
            const byteOffset = end + gap;
            end = byteOffset + bytes.length;
            expected.push({ byteOffset, bytes });
            return { file, byteOffset };
          };
          for (const [format, salt] of weights) {
            const weight = randomWeight(format, salt);
            const whole = quantizeWhole(format, weight);
            expect(whole.hit).toBe(-1);
            const codes = place(whole.codes);
            const scales = place(whole.scales);
            const zeroPoints = format.symmetric ? undefined : place(whole.zeroPoints);
            const source = files.source(weight, gap, 3);
            builder.addQuantize(format, source, {
              codes,
              scales,
              ...(zeroPoints && { zeroPoints }),
            });
            const copied = noise(1000 + gap * 100, salt);
            builder.addCopy(files.source(copied, 7), place(copied));
          }
          const result = await runProgram(builder.finish(), { threads, executor, io });

          const written = readFileSync(file.path);
          expect(written.length).toBe(end);
          for (const { byteOffset, bytes } of expected) {
            const found = written.subarray(byteOffset, byteOffset + bytes.length);
            expect(Buffer.compare(found, bytes)).toBe(0);
          }
          expect(result.bytesWritten).toBe(
            expected.reduce((sum, part) => sum + part.bytes.length, 0),
          );
          expect(result.nonFinite).toBeUndefined();
        });
      },
    ),
    RUNS,
  );
});

test('measuring gives the same however the work is cut, with and without an output', async () => {
  await fc.assert(
    fc.asyncProperty(
      parameters,
      seed,
      manner,
      fc.boolean(),
      async (format, salt, { memoryBytes, threads, executor, io }, stores) => {
        using files = new ScratchFiles();
        await orTooSmall(async () => {
          const weight = randomWeight(format, salt);
          const builder = new ProgramBuilder({ memoryBytes, threads });
          const place = (output: number) => ({ file: files.output(output), byteOffset: 0 });
          const places = { codes: place(0), scales: place(1) };
          const all = format.symmetric ? places : { ...places, zeroPoints: place(2) };
          const source = files.source(weight, 3);
          const job = builder.addQuantize(format, source, stores ? all : undefined, true);
          const { errors, bytesWritten } = await runProgram(builder.finish(), {
            threads,
            executor,
            io,
          });
          expect(errors.get(job)).toEqual(measureWhole(format, weight));
          if (!stores) expect(bytesWritten).toBe(0);
        });
      },
    ),
    RUNS,
  );
});

test('the tie gate finds what it finds in the whole table', async () => {
  await fc.assert(
    fc.asyncProperty(
      parameters,
      seed,
      fc.array(fc.nat(), { maxLength: 4 }),
      manner,
      async (format, salt, changes, { memoryBytes, threads, executor, io }) => {
        using files = new ScratchFiles();
        await orTooSmall(async () => {
          const { n, k, type, bits, blockSize, symmetric, layout } = format;
          const table = randomWeight(format, salt);
          const { codes, scales, zeroPoints } = quantizeWhole(format, table);
          for (const change of changes) flip(codes, change, 0x31);
          const size = floatByteLength(type);
          const columns = layout === 'columns';
          const gate = { type, scaleType: type, bits, blockSize, n, k, hasZeroPoints: !symmetric };
          const whole = tieGate(gate, {
            table,
            channelStride: columns ? size : k * size,
            elementStride: columns ? n * size : size,
            channels: n,
            firstChannel: 0,
            codes,
            scales,
            zeroPoints: symmetric ? undefined : zeroPoints,
          });
          const builder = new ProgramBuilder({ memoryBytes, threads });
          const job = builder.addTieGate(
            { ...gate, layout },
            {
              table: files.source(table, 2),
              codes: files.source(codes, 1),
              scales: files.source(scales, 2),
              ...(!symmetric && { zeroPoints: files.source(zeroPoints) }),
            },
          );
          const { folds } = await runProgram(builder.finish(), { threads, executor, io });
          const { compared, rejected, worstSteps, worstIndex } = whole;
          expect(folds.get(job)).toEqual({
            kernel: 'tie-gate',
            compared,
            rejected,
            worstSteps,
            worstIndex: worstIndex < 0 ? undefined : worstIndex,
          });
        });
      },
    ),
    RUNS,
  );
});

test('a comparison finds every difference, also against a transposed tensor', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        rows: fc.integer({ min: 1, max: 300 }),
        columns: fc.integer({ min: 1, max: 300 }),
        elementBytes: fc.constantFrom(1, 2, 4, 8),
        transposed: fc.boolean(),
      }),
      seed,
      fc.array(fc.nat(), { maxLength: 4 }),
      manner,
      async (shape, salt, changes, { memoryBytes, threads, executor, io }) => {
        using files = new ScratchFiles();
        await orTooSmall(async () => {
          const { rows, columns, elementBytes, transposed } = shape;
          const a = noise(rows * columns * elementBytes, salt);
          const changed = a.slice();
          for (const change of changes) flip(changed, change, 1);
          const range = (bytes: Uint8Array) => ({
            bytes,
            rowStride: columns * elementBytes,
            columnStride: elementBytes,
          });
          const whole = compareBits(elementBytes, range(a), range(changed), rows, columns, 0);
          const b = transposed ? transpose(changed, rows, columns, elementBytes) : changed;
          const builder = new ProgramBuilder({ memoryBytes, threads });
          const job = builder.addCompare(shape, files.source(a, 5), files.source(b));
          const { folds } = await runProgram(builder.finish(), { threads, executor, io });
          const { compared, different, firstIndex } = whole;
          expect(folds.get(job)).toEqual({
            kernel: 'compare',
            compared,
            different,
            firstIndex: firstIndex < 0 ? undefined : firstIndex,
          });
        });
      },
    ),
    RUNS,
  );
});

test('the non-finite element that is named is the first of the source', async () => {
  await fc.assert(
    fc.asyncProperty(
      parameters,
      fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
      manner,
      async (format, places, { memoryBytes, threads, executor, io }) => {
        using files = new ScratchFiles();
        await orTooSmall(async () => {
          const { n, k, type, layout, symmetric } = format;
          const size = floatByteLength(type);
          const weight = randomWeight(format, 1);
          const indices = places.map((place) => place % (n * k));
          for (const index of indices) weight.fill(0xff, index * size, (index + 1) * size);
          const out = { file: files.output(0), byteOffset: 0 };
          const builder = new ProgramBuilder({ memoryBytes, threads });
          const job = builder.addQuantize(format, files.source(weight, 4), {
            codes: out,
            scales: out,
            ...(!symmetric && { zeroPoints: out }),
          });
          const { nonFinite } = await runProgram(builder.finish(), { threads, executor, io });
          const first = Math.min(...indices);
          const [major, minor] = layout === 'rows' ? [k, 'element'] : [n, 'channel'];
          expect(nonFinite).toEqual({
            job,
            channel: minor === 'channel' ? first % major : Math.floor(first / major),
            element: minor === 'element' ? first % major : Math.floor(first / major),
          });
        });
      },
    ),
    RUNS,
  );
});
