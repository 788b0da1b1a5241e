/** Runs a program without the addon: the same tiles, one after another, yielding to the event loop between them. */

import { readSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { hasErrno } from '../errors.ts';
import { ERROR_FIELDS, type ErrorSum } from '../kernels/measure.ts';
import { isFold, type Program, type TileInput, type TileOutput } from './program.ts';
import { COPY_PIECE } from './program-layout.ts';
import { type QuantizeKernels, REFERENCE_KERNELS } from './quantize-kernels.ts';
import { runTileKernel, type TileIo } from './tile-kernels.ts';
import { FOLD_FIELDS, type TileFailure, type TileRun } from './tile-run.ts';
import { wasmKernels } from './wasm-kernels.ts';

const PROGRESS_INTERVAL_MS = 100;

interface SerialControl {
  /** Which kernels; where there is no WebAssembly, or not enough memory of it, TypeScript. */
  readonly kernels: 'wasm' | 'typescript';
  readonly signal: AbortSignal | undefined;
  readonly onBytes: ((bytesRead: number) => void) | undefined;
}

/** Runs all tiles on this thread; throws a TileFailure when a read or write fails. */
export async function runSerially(program: Program, control: SerialControl): Promise<TileRun> {
  const { signal, onBytes } = control;
  const machine = new SerialMachine(program, control.kernels);
  const { tiles, jobs } = program;
  const hasFolds = jobs.some(isFold);
  const folds = new Float64Array(hasFolds ? tiles.length * FOLD_FIELDS : 0);
  const errors = new Map<number, ErrorSum>();
  let nonFinite: TileRun['nonFinite'];
  let reported = performance.now();
  for (let index = 0; index < tiles.length && !signal?.aborted; index++) {
    const tile = tiles.at(index);
    const job = jobs[tile.job];
    if (job === undefined) throw new RangeError(`no job ${tile.job}`);
    machine.enter(index);
    const { hit, fold, error } = runTileKernel(job, tile, machine);
    if (hit >= 0) {
      nonFinite = { tile: index, index: hit };
      break;
    }
    if (fold) folds.set(fold, index * FOLD_FIELDS);
    if (error) errors.set(tile.job, addTo(errors.get(tile.job), error));
    if (onBytes && performance.now() - reported >= PROGRESS_INTERVAL_MS) {
      reported = performance.now();
      onBytes(machine.bytesRead);
    }
    await setImmediate();
  }
  const { bytesRead, bytesWritten } = machine;
  const cancelled = signal?.aborted === true;
  const packed = packErrors(program, errors);
  return {
    bytesRead,
    bytesWritten,
    folds,
    errors: packed,
    cancelled,
    ...(nonFinite && { nonFinite }),
  };
}

function addTo(sum: ErrorSum | undefined, error: ErrorSum): ErrorSum {
  if (sum === undefined) return error;
  sum.addSum(error);
  return sum;
}

/** What was measured, in the form the addon gives it. */
function packErrors({ jobs }: Program, errors: ReadonlyMap<number, ErrorSum>): Float64Array {
  const isMeasured = jobs.some((job) => job.kernel === 'quantize' && job.measured);
  const packed = new Float64Array(isMeasured ? jobs.length * ERROR_FIELDS : 0);
  for (const [job, sum] of errors) packed.set(sum.pack(), job * ERROR_FIELDS);
  return packed;
}

function onCacheLine(byteOffset: number): number {
  return Math.ceil(byteOffset / 64) * 64;
}

/** Ring, scratch memory and files of a program. */
class SerialMachine implements TileIo {
  bytesRead = 0;
  bytesWritten = 0;
  readonly #program: Program;
  readonly kernels: QuantizeKernels;
  readonly #ring: Uint8Array;
  readonly #scratch: Uint8Array;
  #used = 0;
  #tile = 0;

  constructor(program: Program, kernels: SerialControl['kernels']) {
    this.#program = program;
    const { ringBytes, scratchBytes } = program;
    const scratchStart = onCacheLine(ringBytes);
    const byteLength = scratchStart + scratchBytes;
    const isCalledFor = kernels === 'wasm' && program.jobs.some((job) => job.kernel === 'quantize');
    const compiled = isCalledFor ? wasmKernels(byteLength) : undefined;
    this.kernels = compiled ?? REFERENCE_KERNELS;
    const memory = this.kernels.allocate(byteLength);
    this.#ring = memory.subarray(0, ringBytes);
    this.#scratch = memory.subarray(scratchStart);
  }

  get scratchByteLength(): number {
    return this.#scratch.length;
  }

  /** Starts a tile: scratch memory is free again. */
  enter(tile: number): void {
    this.#tile = tile;
    this.#used = 0;
  }

  ring(place: TileInput | TileOutput): Uint8Array {
    return this.#ring.subarray(place.byteOffset);
  }

  take(byteLength: number): Uint8Array {
    const start = this.#used;
    this.#used = onCacheLine(start + byteLength);
    if (start + byteLength > this.#scratch.length)
      throw new RangeError('a tile outgrew its scratch');
    return this.#scratch.subarray(start, start + byteLength);
  }

  read(input: TileInput, to: Uint8Array, strideBytes: number): void {
    const fd = this.#program.inputs[input.file]?.fd ?? -1;
    // Runs that touch each other both in the file and in memory are one run.
    const dense =
      input.strideBytes === input.segmentByteLength && strideBytes === input.strideBytes;
    const runs = dense ? 1 : input.segments;
    const byteLength = dense ? input.segments * input.segmentByteLength : input.segmentByteLength;
    for (let i = 0; i < runs; i++) {
      const position = input.byteOffset + i * input.strideBytes;
      this.#readRun(input.file, fd, to, i * strideBytes, byteLength, position);
    }
    this.bytesRead += runs * byteLength;
  }

  #readRun(
    file: number,
    fd: number,
    to: Uint8Array,
    start: number,
    byteLength: number,
    position: number,
  ): void {
    for (let done = 0; done < byteLength; ) {
      const at = position + done;
      let got: number;
      try {
        got = readSync(fd, to, start + done, byteLength - done, at);
      } catch (error) {
        throw this.#worded(error, 'read', file, at);
      }
      if (got === 0) throw this.#failure('read', file, at, 'END_OF_FILE');
      done += got;
    }
  }

  write(output: TileOutput, from: Uint8Array): void {
    const fd = this.#program.outputs[output.file]?.fd ?? -1;
    for (let done = 0; done < from.length; ) {
      const at = output.byteOffset + done;
      const length = Math.min(COPY_PIECE, from.length - done);
      try {
        done += writeSync(fd, from, done, length, at);
      } catch (error) {
        throw this.#worded(error, 'write', output.file, at);
      }
    }
    this.bytesWritten += from.length;
  }

  #worded(error: unknown, phase: 'read' | 'write', file: number, offset: number): unknown {
    return hasErrno(error) ? this.#failure(phase, file, offset, error.code) : error;
  }

  #failure(phase: 'read' | 'write', file: number, offset: number, code: string): TileFailure {
    return Object.assign(new Error(code), { code, phase, file, offset, tile: this.#tile });
  }
}
