/** Executes a save plan: creates the files, streams every payload once, writes the graph. Nothing is visible yet. */

import { CancelledError } from '../errors.ts';
import type { IoMode } from '../stream/executor.ts';
import { closeOutput } from '../stream/output-file.ts';
import type { WeightError } from '../stream/weight-error.ts';
import type { DerivedWrite, MovedPayloads, movePayloads } from './payload-program.ts';
import type { PlannedWrite, SavePlan } from './plan.ts';
import { createPlannedFiles, type PlannedFiles, placeOf, unsharedRanges } from './planned-files.ts';
import { SmallWrites } from './small-writes.ts';

/** Settings of everything that moves bytes. */
export interface StreamOptions {
  /** Windows, buffers and native scratch together. */
  readonly memoryBytes: number;
  readonly threads: number;
  readonly io: IoMode;
  /** Whether the commit flushes what is written; default true. */
  readonly sync?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytesDone: number, bytesTotal: number) => void) | undefined;
}

/** How far the numbers that a tensor of codes stands for are from its source. */
export interface TensorError extends WeightError {
  /** The codes. */
  readonly tensor: string;
  readonly bits: number;
  readonly blockSize: number;
}

/** Writes the `.onnx` but for the payloads that are not at hand, and returns those. */
function writeGraph(plan: SavePlan, small: SmallWrites, { files }: PlannedFiles): PlannedWrite[] {
  const name = plan.files[0]?.name ?? '';
  const file = files.get(name);
  if (file === undefined) throw new Error('a plan without a model file');
  const rest: PlannedWrite[] = [];
  plan.model.writeTo({
    bytes: (bytes, byteOffset) => small.put(file, byteOffset, bytes),
    payload(tensor, byteOffset, byteLength) {
      const payload = plan.payloadOf(tensor);
      if (payload === undefined) throw new Error(`a gap in ${name} that nothing fills`);
      const { data, tensor: label } = payload;
      if (data.kind !== 'inline') {
        rest.push({ file: name, byteOffset, byteLength, data, tensor: label });
      } else if (data.range === undefined || !small.putRange(file, byteOffset, data.range)) {
        small.put(file, byteOffset, data.bytes);
      }
    },
  });
  small.flush();
  return rest;
}

/**
 * Writes what is in memory, and ranges that are no work for a tile. Returns what is left: the writes that are made of
 * others, and no answer where that is nothing.
 */
function writeSmall(
  writes: Iterable<PlannedWrite>,
  small: SmallWrites,
  created: PlannedFiles,
): { readonly derived: DerivedWrite[] } | undefined {
  const derived: DerivedWrite[] = [];
  let hasCopies = false;
  for (const write of writes) {
    const { data } = write;
    if (data.kind === 'range') {
      for (const { range, place } of unsharedRanges(write, data, created)) {
        if (!small.putRange(place.file, place.byteOffset, range)) hasCopies = true;
      }
      continue;
    }
    const place = placeOf(write, created);
    if (data.kind === 'inline') small.put(place.file, place.byteOffset, data.bytes);
    else {
      // The name is made when it is asked for: not for each of a million writes.
      const { derivation, output } = data;
      derived.push({ tensor: write.tensor, place, derivation, output });
    }
  }
  small.flush();
  return hasCopies || derived.length > 0 ? { derived } : undefined;
}

/** What a write moved. */
export interface WriteResult {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes of the output whose blocks are those of the input. */
  readonly sharedBytes: number;
  /** What was measured, in the order of the data files. */
  readonly errors: readonly TensorError[];
}

/** How a plan is written. */
export interface WriteOptions extends StreamOptions {
  /** Sum up how far quantized weights are from their sources, while they are in memory. */
  readonly measured: boolean;
}

/**
 * Writes every file of `plan` into `directory`, which must exist and hold none of them. Memory: `memoryBytes` and
 * the graph. Files are not synced; the commit does that.
 * @param otherBytes what else will go to that disk
 *
 * Throws a PreconditionError for an element that cannot be quantized in a weight that is quantized, a ResourceError when the disk
 * fails, a CancelledError when `signal` fires; what is in `directory` then is to be thrown away.
 */
export async function writePlan(
  plan: SavePlan,
  directory: string,
  options: WriteOptions,
  otherBytes = 0,
): Promise<WriteResult> {
  const created = createPlannedFiles(plan, directory, otherBytes);
  const { files, sharedBytes } = created;
  try {
    const small = new SmallWrites();
    const embedded = writeGraph(plan, small, created);
    function* writes() {
      yield* plan.dataWrites();
      yield* embedded;
    }
    const rest = writeSmall(writes(), small, created);
    if (options.signal?.aborted) throw new CancelledError();
    if (rest === undefined) options.onProgress?.(0, 0);
    const moved = rest && (await move({ writes, derived: rest.derived }, created, options));
    return {
      bytesRead: small.bytesRead + (moved?.bytesRead ?? 0),
      bytesWritten: small.bytesWritten + (moved?.bytesWritten ?? 0),
      sharedBytes,
      errors: moved?.errors ?? [],
    };
  } finally {
    for (const file of files.values()) closeOutput(file);
  }
}

/** Loaded where there is something to move: a model whose blocks are shared has nothing. */
async function move(...call: Parameters<typeof movePayloads>): Promise<MovedPayloads> {
  const { movePayloads } = await import('./payload-program.ts');
  return movePayloads(...call);
}
