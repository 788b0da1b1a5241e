/** Which pairs of tensors hold the same bytes: all of them compared in one program. */

import type { Tensor } from '../model/tensor.ts';
import { bytesInMemory } from '../model/tensor-bytes.ts';
import { type IoMode, runProgram } from '../stream/executor.ts';
import { ProgramBuilder } from '../stream/program-builder.ts';

/** How files are read. */
export interface ReadOptions {
  readonly memoryBytes: number;
  readonly threads: number;
  readonly io: IoMode;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytesDone: number, bytesTotal: number) => void) | undefined;
}

/**
 * For each pair of tensors, whether type, shape and bytes are the same; undefined where bytes cannot be had (strings,
 * incomplete fields). Throws what runProgram throws.
 */
export async function compareTensors(
  pairs: readonly (readonly [Tensor, Tensor])[],
  options: ReadOptions,
): Promise<(boolean | undefined)[]> {
  const builder = new ProgramBuilder(options);
  const jobs = new Map<number, number>();
  const results = pairs.map(([a, b], index) => {
    if (a.dtype !== b.dtype || a.dims.join() !== b.dims.join()) return false;
    const [left, right] = [a.data, b.data];
    if (left.kind !== 'range' || right.kind !== 'range') {
      const [x, y] = [bytesInMemory(a), bytesInMemory(b)];
      // One in a file and one in fields: a difference of form, which a reader does not see, needs a look at both.
      return x && y && Buffer.compare(x, y) === 0;
    }
    if (left.byteLength !== right.byteLength) return false;
    if (left.file === right.file && left.byteOffset === right.byteOffset) return true;
    const shape = {
      elementBytes: 1,
      rows: 1,
      columns: left.byteLength,
      transposed: false,
    } as const;
    jobs.set(builder.addCompare(shape, left, right), index);
    return true;
  });
  const { threads, io, signal, onProgress } = options;
  const { folds } = await runProgram(builder.finish(), {
    threads,
    io,
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  });
  for (const [job, index] of jobs) {
    const fold = folds.get(job);
    results[index] = fold?.kernel === 'compare' && fold.different === 0;
  }
  return results;
}
