/** Executes a save plan: creates the files, streams every payload once, writes the graph. Nothing is visible yet. */

import { PreconditionError } from '../errors.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import type { Derivation } from '../model/tensor-data.ts';
import { type IoMode, type ProgramResult, runProgram } from '../stream/executor.ts';
import { closeOutput } from '../stream/output-file.ts';
import type { OutputPlace } from '../stream/program.ts';
import { ProgramBuilder } from '../stream/program-builder.ts';
import type { WeightError } from '../stream/weight-error.ts';
import { outside } from './block-sharing.ts';
import type { PlannedWrite, SavePlan } from './plan.ts';
import { createPlannedFiles, type PlannedFiles } from './planned-files.ts';
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

/** What a job of the program makes: the name of the codes, and how. */
interface JobName {
  readonly tensor: string;
  readonly parameters: QuantizeParameters;
}

/**
 * Adds the copies of a plan to a program, but for what the files share already, and one job for each derivation.
 * Writes what is in memory. Returns the tensors that jobs can fail at.
 */
function addWrites(
  builder: ProgramBuilder,
  allWrites: () => Iterable<PlannedWrite>,
  small: SmallWrites,
  { files, shared }: PlannedFiles,
  measured: boolean,
): Map<number, JobName> {
  const names = new Map<number, JobName>();
  const codeNames = new Map<Derivation, string>();
  const places = new Map<Derivation, (OutputPlace | undefined)[]>();
  const placeOf = ({ file, byteOffset }: PlannedWrite): OutputPlace => {
    const target = files.get(file);
    if (target === undefined) throw new Error(`the plan writes to ${file}, which it does not have`);
    return { file: target, byteOffset };
  };
  for (const write of allWrites()) {
    if (write.data.kind !== 'derived') continue;
    const { derivation, output } = write.data;
    const list = places.get(derivation) ?? [];
    if (list[output] !== undefined) throw new Error(`the plan makes "${write.tensor}" twice`);
    list[output] = placeOf(write);
    places.set(derivation, list);
    if (derivation.outputs[output]?.role === 'codes') codeNames.set(derivation, write.tensor);
  }
  for (const write of allWrites()) {
    if (write.data.kind === 'inline') {
      const { file, byteOffset } = placeOf(write);
      small.put(file, byteOffset, write.data.bytes);
      continue;
    }
    if (write.data.kind === 'range') {
      const { file, byteOffset: start } = placeOf(write);
      const source = write.data;
      for (const { byteOffset, byteLength } of outside(write, shared.get(write.file) ?? [])) {
        const from = source.byteOffset + byteOffset - start;
        const range = { ...source, byteOffset: from, byteLength };
        if (small.putRange(file, byteOffset, range)) continue;
        builder.addCopy(range, { file, byteOffset });
      }
      continue;
    }
    const { derivation } = write.data;
    const outputs = places.get(derivation);
    if (outputs === undefined) continue;
    places.delete(derivation);
    const job = addDerivation(builder, derivation, outputs, write.tensor, measured);
    if (job === undefined || derivation.kernel !== 'quantize') continue;
    const { parameters } = derivation;
    names.set(job, { tensor: codeNames.get(derivation) ?? write.tensor, parameters });
  }
  small.flush();
  return names;
}

/** Adds the job of a derivation; gives its index where an element can make it fail. */
function addDerivation(
  builder: ProgramBuilder,
  derivation: Derivation,
  outputs: readonly (OutputPlace | undefined)[],
  tensor: string,
  measured: boolean,
): number | undefined {
  const [source] = derivation.sources;
  const place = (role: string) => outputs[derivation.outputs.findIndex((o) => o.role === role)];
  const needed = (role: string) => {
    const found = place(role);
    if (found === undefined) throw new Error(`the plan makes only part of "${tensor}"`);
    return found;
  };
  switch (derivation.kernel) {
    case 'quantize': {
      const zeroPoints = place('zeroPoints');
      const places = {
        codes: needed('codes'),
        scales: needed('scales'),
        ...(zeroPoints === undefined ? {} : { zeroPoints }),
      };
      return builder.addQuantize(derivation.parameters, source, places, measured);
    }
    case 'cast':
      builder.addCast(derivation.parameters, source, needed('data'));
      return undefined;
    case 'relayout':
      builder.addRelayout(derivation.parameters, source, needed('data'));
      return undefined;
  }
}

function nonFiniteError(
  hit: NonNullable<ProgramResult['nonFinite']>,
  names: ReadonlyMap<number, JobName>,
): PreconditionError {
  const tensor = names.get(hit.job)?.tensor ?? 'a weight';
  return new PreconditionError(
    'ERR_NON_FINITE',
    `the source of "${tensor}" has a NaN, an infinity or a number beyond 2^127 at channel ${hit.channel}, element ${hit.element}`,
    {
      hint: 'repair the export, or exclude the node from quantization',
      details: { tensor, channel: hit.channel, element: hit.element },
    },
  );
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

function tensorErrors(
  { errors }: ProgramResult,
  names: ReadonlyMap<number, JobName>,
): TensorError[] {
  return [...errors].flatMap(([job, error]) => {
    const name = names.get(job);
    if (name === undefined) return [];
    const { bits, blockSize } = name.parameters;
    return [{ tensor: name.tensor, bits, blockSize, ...error }];
  });
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
    const builder = new ProgramBuilder(options);
    const small = new SmallWrites();
    const embedded = writeGraph(plan, small, created);
    function* allWrites() {
      yield* plan.dataWrites();
      yield* embedded;
    }
    const names = addWrites(builder, allWrites, small, created, options.measured);
    const result = await runProgram(builder.finish(), {
      threads: options.threads,
      io: options.io,
      flushes: options.sync !== false,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    if (result.nonFinite !== undefined) throw nonFiniteError(result.nonFinite, names);
    return {
      bytesRead: result.bytesRead + small.bytesRead,
      bytesWritten: result.bytesWritten + small.bytesWritten,
      sharedBytes,
      errors: tensorErrors(result, names),
    };
  } finally {
    for (const file of files.values()) closeOutput(file);
  }
}
