/** Runs a program in the addon, on its own threads. */

import { METHOD_NUMBERS } from '../kernels/kernel.ts';
import type { NativeAddon, NativeProgram } from '../native.ts';
import type { Job, Program } from './program.ts';
import type { TileRun } from './tile-run.ts';

// At most ten times a second: progress is for people.
const PROGRESS_INTERVAL_MS = 100;

/** How a run is watched and stopped. */
export interface RunControl {
  readonly threads: number;
  readonly mapped: boolean;
  readonly flushes: boolean;
  readonly isa: string;
  readonly signal: AbortSignal | undefined;
  readonly onBytes: ((bytesRead: number) => void) | undefined;
}

const KERNEL_IDS = {
  copy: 0,
  quantize: 1,
  'tie-gate': 2,
  compare: 3,
  cast: 4,
  'measure-cast': 5,
  relayout: 6,
} as const;

// The fields of struct Job in native/program.h, in their order.
const JOB_FIELDS = 16;

function jobFields(job: Job): number[] {
  const kernel = KERNEL_IDS[job.kernel];
  switch (job.kernel) {
    case 'copy':
      return [kernel];
    case 'quantize': {
      const { method, type, bits, blockSize, symmetric, layout, n, k } = job.parameters;
      const shape = [Number(symmetric), Number(layout === 'columns'), n, k];
      const rest = [METHOD_NUMBERS[method], 0, 0, Number(job.measured)];
      return [kernel, type, bits, blockSize, ...shape, 0, 0, 0, 0, ...rest];
    }
    case 'tie-gate': {
      const { type, bits, blockSize, layout, n, k, scaleType, hasZeroPoints } = job;
      const columns = Number(layout === 'columns');
      return [kernel, type, bits, blockSize, 0, columns, n, k, scaleType, Number(hasZeroPoints)];
    }
    case 'compare': {
      const { rows, columns, elementBytes, transposed } = job;
      return [kernel, 0, 0, 0, 0, 0, columns, rows, 0, 0, elementBytes, Number(transposed)];
    }
    case 'cast': {
      const { from, to, saturate } = job.parameters;
      return [kernel, from, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, to, Number(saturate)];
    }
    case 'measure-cast': {
      const { from, to } = job.parameters;
      return [kernel, from, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, to];
    }
    case 'relayout': {
      const { bits, rows, columns, transposed, flip } = job.parameters;
      const shape = [0, 0, columns, rows, 0, 0, 0, Number(transposed)];
      return [kernel, 0, bits, 0, ...shape, 0, 0, Number(flip)];
    }
  }
}

/** Jobs as the addon reads them: sixteen numbers each. */
export function encodeJobs(jobs: readonly Job[]): Float64Array {
  const words = new Float64Array(jobs.length * JOB_FIELDS);
  jobs.forEach((job, index) => {
    words.set(jobFields(job), index * JOB_FIELDS);
  });
  return words;
}

/** Runs all tiles; rejects with a TileFailure when a read or write fails. */
export async function runNative(
  addon: NativeAddon,
  program: Program,
  control: RunControl,
): Promise<TileRun> {
  const encoded: NativeProgram = {
    jobs: encodeJobs(program.jobs),
    series: program.tiles.words,
    starts: program.tiles.starts,
    tiles: program.tiles.tiles,
    inputs: Int32Array.from(program.inputs, (file) => file.fd),
    outputs: Int32Array.from(program.outputs, (file) => file.fd),
    ringBytes: program.ringBytes,
    scratchBytes: program.scratchBytes,
    threads: control.threads,
    mapped: control.mapped,
    flushes: control.flushes,
    isa: control.isa,
  };
  const { handle, finished } = addon.runProgram(encoded);
  const { signal, onBytes } = control;
  const cancel = () => addon.cancel(handle);
  signal?.addEventListener('abort', cancel, { once: true });
  const timer = onBytes && setInterval(() => onBytes(addon.progress(handle)), PROGRESS_INTERVAL_MS);
  try {
    return await finished;
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', cancel);
  }
}
