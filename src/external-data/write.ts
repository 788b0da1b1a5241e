/** Executes a save plan: creates the files, streams every payload once, writes the graph. Nothing is visible yet. */

import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromSystemError, PreconditionError } from '../errors.ts';
import type { Derivation } from '../model/tensor-data.ts';
import { type IoMode, type ProgramResult, runProgram } from '../stream/executor.ts';
import { closeOutput, createOutput, writeBytes } from '../stream/output-file.ts';
import type { OutputFile, OutputPlace } from '../stream/program.ts';
import { ProgramBuilder } from '../stream/program-builder.ts';
import type { PlannedWrite, SavePlan } from './plan.ts';

/** Settings of everything that moves bytes. */
export interface StreamOptions {
  /** Windows, buffers and native scratch together. */
  readonly memoryBytes: number;
  readonly threads: number;
  readonly io: IoMode;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytesDone: number, bytesTotal: number) => void) | undefined;
}

/** A tensor and the derivation that makes it, by the job that runs it. */
interface JobName {
  readonly tensor: string;
  readonly n: number;
}

/** Creates the files of a plan, directories included; those made so far are closed again when one fails. */
function createFiles(plan: SavePlan, directory: string): Map<string, OutputFile> {
  const files = new Map<string, OutputFile>();
  try {
    for (const { name, byteLength } of plan.files) {
      const path = join(directory, name);
      mkdirSync(dirname(path), { recursive: true });
      files.set(name, createOutput(path, byteLength));
    }
    return files;
  } catch (error) {
    for (const file of files.values()) closeOutput(file);
    throw fromSystemError(error, `writing to ${directory}`);
  }
}

/** Adds the copies of a plan to a program, and one quantizer for each derivation. Returns what the jobs are called. */
function addWrites(
  builder: ProgramBuilder,
  writes: readonly PlannedWrite[],
  files: ReadonlyMap<string, OutputFile>,
): Map<number, JobName> {
  const names = new Map<number, JobName>();
  const places = new Map<Derivation, (OutputPlace | undefined)[]>();
  const placeOf = ({ file, byteOffset }: PlannedWrite): OutputPlace => {
    const target = files.get(file);
    if (target === undefined) throw new Error(`the plan writes to ${file}, which it does not have`);
    return { file: target, byteOffset };
  };
  const derived = writes.filter(({ data }) => data.kind === 'derived');
  for (const write of derived) {
    if (write.data.kind !== 'derived') continue;
    const { derivation, output } = write.data;
    const list = places.get(derivation) ?? [];
    if (list[output] !== undefined) throw new Error(`the plan makes "${write.tensor}" twice`);
    list[output] = placeOf(write);
    places.set(derivation, list);
  }
  for (const write of writes) {
    if (write.data.kind === 'range') {
      builder.addCopy(write.data, placeOf(write));
      continue;
    }
    const { derivation } = write.data;
    const outputs = places.get(derivation);
    if (outputs === undefined) continue;
    places.delete(derivation);
    const place = (role: string) => outputs[derivation.outputs.findIndex((o) => o.role === role)];
    const codes = place('codes');
    const scales = place('scales');
    const zeroPoints = place('zeroPoints');
    if (codes === undefined || scales === undefined) {
      throw new Error(`the plan makes only part of "${write.tensor}"`);
    }
    const { parameters, sources } = derivation;
    const job = builder.addQuantize(parameters, sources[0], {
      codes,
      scales,
      ...(zeroPoints === undefined ? {} : { zeroPoints }),
    });
    names.set(job, { tensor: write.tensor, n: parameters.n });
  }
  return names;
}

function nonFiniteError(
  hit: NonNullable<ProgramResult['nonFinite']>,
  names: ReadonlyMap<number, JobName>,
): PreconditionError {
  const tensor = names.get(hit.job)?.tensor ?? 'a weight';
  return new PreconditionError(
    'ERR_NON_FINITE',
    `the source of "${tensor}" has a NaN or infinity at channel ${hit.channel}, element ${hit.element}`,
    {
      hint: 'repair the export, or exclude the node from quantization',
      details: { tensor, channel: hit.channel, element: hit.element },
    },
  );
}

/**
 * Writes every file of `plan` into `directory`, which must exist and hold none of them. Memory: `memoryBytes` and
 * the graph. Files are not synced; the commit does that.
 *
 * Throws a PreconditionError for a NaN or infinity in a weight that is quantized, a ResourceError when the disk
 * fails, a CancelledError when `signal` fires; what is in `directory` then is to be thrown away.
 */
export async function writePlan(
  plan: SavePlan,
  directory: string,
  options: StreamOptions,
): Promise<{ readonly bytesRead: number; readonly bytesWritten: number }> {
  const files = createFiles(plan, directory);
  try {
    const builder = new ProgramBuilder(options);
    const names = addWrites(builder, plan.writes, files);
    const result = await runProgram(builder.finish(), {
      threads: options.threads,
      io: options.io,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    if (result.nonFinite !== undefined) throw nonFiniteError(result.nonFinite, names);
    const model = plan.files[0] && files.get(plan.files[0].name);
    if (model === undefined) throw new Error('a plan without a model file');
    let graphBytes = 0;
    for (const segment of plan.model.segments) {
      if (segment.kind === 'payload') continue;
      writeBytes(model, segment.bytes, segment.byteOffset);
      graphBytes += segment.bytes.byteLength;
    }
    return { bytesRead: result.bytesRead, bytesWritten: result.bytesWritten + graphBytes };
  } finally {
    for (const file of files.values()) closeOutput(file);
  }
}
