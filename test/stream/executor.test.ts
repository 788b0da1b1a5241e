import { closeSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CancelledError, FormatError, ResourceError } from '../../src/errors.ts';
import type { QuantizeParameters } from '../../src/kernels/kernel.ts';
import type { FileRange } from '../../src/model/tensor-data.ts';
import { runProgram } from '../../src/stream/executor.ts';
import type { OutputFile } from '../../src/stream/program.ts';
import { ProgramBuilder } from '../../src/stream/program-builder.ts';
import { executors, noise, ScratchFiles, withFileSizeLimit } from './scratch-files.ts';
import { quantizeWhole, randomWeight } from './weights.ts';

const BUDGET = { memoryBytes: 1 << 20, threads: 3 };

let files: ScratchFiles;
beforeEach(() => {
  files = new ScratchFiles();
});
afterEach(() => {
  files[Symbol.dispose]();
});

function copyProgram(source: FileRange, file: OutputFile) {
  const builder = new ProgramBuilder(BUDGET);
  builder.addCopy(source, { file, byteOffset: 0 });
  return builder.finish();
}

function sparse(byteLength: number): FileRange {
  const range = files.source(new Uint8Array(1));
  truncateSync(range.file.path, byteLength);
  return { ...range, file: { ...range.file, byteLength }, byteLength };
}

describe.each(executors)('%s executor', (executor) => {
  test('an empty program does nothing', async () => {
    const result = await runProgram(new ProgramBuilder(BUDGET).finish(), { executor });
    expect(result).toEqual({
      bytesRead: 0,
      bytesWritten: 0,
      errors: new Map(),
      folds: new Map(),
      nonFinite: undefined,
    });
  });

  test('columns are put together where one of them is larger than working memory', async () => {
    const parameters: QuantizeParameters = {
      ...{ method: 'rtn', type: 10, bits: 8, blockSize: 32, symmetric: false },
      ...{ layout: 'columns', n: 3, k: 300_017 },
    };
    const weight = randomWeight(parameters, 1);
    const { codes, scales, zeroPoints } = quantizeWhole(parameters, weight);
    const builder = new ProgramBuilder({ memoryBytes: 768 * 1024, threads: 2 });
    const file = files.output(0);
    builder.addQuantize(parameters, files.source(weight), {
      codes: { file, byteOffset: 0 },
      scales: { file, byteOffset: codes.length },
      zeroPoints: { file, byteOffset: codes.length + scales.length },
    });
    const program = builder.finish();
    expect(program.scratchBytes).toBeLessThan(codes.length / 3);
    await runProgram(program, { executor });
    const expected = Buffer.concat([codes, scales, zeroPoints]);
    expect(readFileSync(file.path).equals(expected)).toBe(true);
  });

  test('a full disk is a resource error that names the file', async () => {
    const file = { fd: openSync('/dev/full', 'w'), path: 'out/model.onnx.data' };
    const program = copyProgram(files.source(noise(3_000_000, 1)), file);
    const run = runProgram(program, { executor });
    await expect(run).rejects.toThrow(ResourceError);
    await expect(run).rejects.toMatchObject({
      code: 'ERR_NO_SPACE',
      message: 'writing out/model.onnx.data at byte 0: no space left on the device',
    });
    closeSync(file.fd);
  });

  test('a limit on the file size is met where it lies', async () => {
    const file = files.output(0);
    const program = copyProgram(files.source(noise(3_000_000, 1)), file);
    await withFileSizeLimit(2_000_000, () =>
      expect(runProgram(program, { executor })).rejects.toMatchObject({
        code: 'ERR_NO_SPACE',
        message: `writing ${file.path} at byte 2000000: file too large for this file system or limit`,
      }),
    );
  });

  test.each(['pread', 'mmap'] as const)('a source that shrank is named, read by %s', async (io) => {
    const source = files.source(noise(3_000_000, 1));
    const program = copyProgram(source, files.output(0));
    truncateSync(source.file.path, 1_000_000);
    const run = runProgram(program, { executor, io });
    await expect(run).rejects.toThrow(FormatError);
    await expect(run).rejects.toMatchObject({
      code: 'ERR_CHANGED',
      message: `${source.file.path}: became shorter while it was read: it ended at byte 1000000`,
    });
  });

  test('an unreadable descriptor is reported as such', async () => {
    const source = files.source(noise(1000, 1));
    const writeOnly = openSync(source.file.path, 'a');
    const program = copyProgram(
      { ...source, file: { ...source.file, fd: writeOnly } },
      files.output(0),
    );
    await expect(runProgram(program, { executor })).rejects.toMatchObject({
      code: 'ERR_IO',
      message: `reading ${source.file.path} at byte 0: EBADF`,
    });
    closeSync(writeOnly);
  });

  test.each(['rows', 'columns'] as const)(
    'a NaN in %s stops with its coordinates',
    async (layout) => {
      const parameters: QuantizeParameters = {
        ...{
          method: 'rtn',
          type: 10,
          bits: 4,
          blockSize: 32,
          symmetric: true,
          layout,
          n: 500,
          k: 1000,
        },
      };
      const weight = randomWeight(parameters, 7);
      const at = layout === 'rows' ? 321 * 1000 + 765 : 765 * 500 + 321;
      weight.set([0x00, 0x7e], at * 2);
      const builder = new ProgramBuilder(BUDGET);
      const out = { file: files.output(0), byteOffset: 0 };
      builder.addCopy(files.source(noise(10, 1)), out);
      const job = builder.addQuantize(parameters, files.source(weight), {
        codes: out,
        scales: out,
      });
      const { nonFinite } = await runProgram(builder.finish(), { executor });
      expect(nonFinite).toEqual({ job, channel: 321, element: 765 });
    },
  );

  test('a signal stops the run', async () => {
    const byteLength = 2 ** 31;
    const file = files.output(0);
    const program = copyProgram(sparse(byteLength), file);
    const controller = new AbortController();
    const run = runProgram(program, { executor, signal: controller.signal });
    controller.abort();
    await expect(run).rejects.toThrow(CancelledError);
    expect(statSync(file.path).size).toBeLessThan(byteLength);
  });

  test('a signal that has fired lets nothing start', async () => {
    const file = files.output(0);
    const program = copyProgram(files.source(noise(1000, 1)), file);
    const run = runProgram(program, { executor, signal: AbortSignal.abort() });
    await expect(run).rejects.toThrow(CancelledError);
    expect(statSync(file.path).size).toBe(0);
  });

  test('progress grows and ends with the total', async () => {
    const byteLength = 600_000_000;
    const seen: number[] = [];
    await runProgram(copyProgram(sparse(byteLength), files.output(0)), {
      executor,
      onProgress: (done, total) => {
        expect(total).toBe(byteLength);
        seen.push(done);
      },
    });
    expect(seen.at(-1)).toBe(byteLength);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  test('more threads than the program was laid out for are not used', async () => {
    const source = files.source(noise(3_000_000, 1));
    const result = await runProgram(copyProgram(source, files.output(0)), {
      executor,
      threads: 1000,
    });
    expect(result.bytesWritten).toBe(3_000_000);
  });
});
