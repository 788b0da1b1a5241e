/** The payloads of a plan that are more than a few bytes: one program that copies, quantizes, casts and relays them. */

import { PreconditionError } from '../errors.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import type { Derivation } from '../model/tensor-data.ts';
import { type ProgramResult, runProgram } from '../stream/executor.ts';
import type { OutputPlace } from '../stream/program.ts';
import { ProgramBuilder } from '../stream/program-builder.ts';
import type { PlannedWrite } from './plan.ts';
import { type PlannedFiles, unsharedRanges } from './planned-files.ts';
import { isSmall } from './small-writes.ts';
import type { TensorError, WriteOptions } from './write.ts';

/** What a job of the program makes: the name of the codes, and how. */
interface JobName {
  readonly tensor: string;
  readonly parameters: QuantizeParameters;
}

/** One output of a derivation, and where it goes. */
export interface DerivedWrite {
  /** A tensor that has these bytes, for messages. */
  readonly tensor: string;
  readonly place: OutputPlace;
  readonly derivation: Derivation;
  readonly output: number;
}

/** Where the outputs of derivations go, and the name of the codes of each. */
interface DerivedPlaces {
  readonly places: Map<Derivation, (OutputPlace | undefined)[]>;
  readonly codeNames: Map<Derivation, string>;
}

function derivedPlaces(writes: readonly DerivedWrite[]): DerivedPlaces {
  const codeNames = new Map<Derivation, string>();
  const places = new Map<Derivation, (OutputPlace | undefined)[]>();
  for (const { tensor, place, derivation, output } of writes) {
    const list = places.get(derivation) ?? [];
    if (list[output] !== undefined) throw new Error(`the plan makes "${tensor}" twice`);
    list[output] = place;
    places.set(derivation, list);
    if (derivation.outputs[output]?.role === 'codes') codeNames.set(derivation, tensor);
  }
  return { places, codeNames };
}

/**
 * Adds the copies of a plan to a program, but for what the files hold already, and one job for each derivation.
 * Returns the tensors that jobs can fail at.
 */
function addWrites(
  builder: ProgramBuilder,
  { writes, derived }: Payloads,
  created: PlannedFiles,
  measured: boolean,
): Map<number, JobName> {
  const names = new Map<number, JobName>();
  const { places, codeNames } = derivedPlaces(derived);
  for (const write of writes()) {
    const { data } = write;
    if (data.kind === 'range') {
      for (const { range, place } of unsharedRanges(write, data, created)) {
        if (!isSmall(range)) builder.addCopy(range, place);
      }
    }
    if (data.kind !== 'derived') continue;
    const { derivation } = data;
    const outputs = places.get(derivation);
    if (outputs === undefined) continue;
    places.delete(derivation);
    const job = addDerivation(builder, derivation, outputs, write.tensor, measured);
    if (job === undefined || derivation.kernel !== 'quantize') continue;
    const { parameters } = derivation;
    names.set(job, { tensor: codeNames.get(derivation) ?? write.tensor, parameters });
  }
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

/** What of a plan is left to do when everything small is written. */
export interface Payloads {
  /** All writes of the plan, as often as they are asked for. */
  readonly writes: () => Iterable<PlannedWrite>;
  /** Those of them that are made of others. */
  readonly derived: readonly DerivedWrite[];
}

/** What moving them gave. */
export interface MovedPayloads {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly errors: readonly TensorError[];
}

/** Moves the payloads of a plan into its files. Memory and errors are those of `writePlan`. */
export async function movePayloads(
  payloads: Payloads,
  created: PlannedFiles,
  options: WriteOptions,
): Promise<MovedPayloads> {
  const builder = new ProgramBuilder(options);
  const names = addWrites(builder, payloads, created, options.measured);
  const result = await runProgram(builder.finish(), {
    threads: options.threads,
    io: options.io,
    flushes: options.sync !== false,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  if (result.nonFinite !== undefined) throw nonFiniteError(result.nonFinite, names);
  const { bytesRead, bytesWritten } = result;
  return { bytesRead, bytesWritten, errors: tensorErrors(result, names) };
}
