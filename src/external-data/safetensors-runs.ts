/**
 * From tensors to safetensors files. Each tensor is an entry of its own, so what others share is written again: the
 * format has no other way, and the cost is told. Pure.
 */

import { posix } from 'node:path';
import { formatSize } from '../bytes.ts';
import { PreconditionError } from '../errors.ts';
import type { Tensor } from '../model/tensor.ts';
import { rangeOf } from '../model/tensor-data.ts';
import { freshName, seriesName } from './layout.ts';
import type { DataFileOptions, PlacedRun, PlacedRuns, PlannedFile } from './placed-runs.ts';
import { quoted } from './reference.ts';
import {
  collectRuns,
  inSourceOrder,
  type PayloadList,
  payloadAt,
  payloadLength,
  type TensorPayload,
} from './runs.ts';
import { entryLabel, entryType } from './safetensors.ts';
import {
  type HeaderPart,
  headerParts,
  layOutSafetensors,
  type SafetensorsFile,
  type SafetensorsSeries,
  type SafetensorsTensors,
} from './safetensors-layout.ts';
import { EntryNames } from './safetensors-names.ts';

/** A tensor that goes to a data file. */
export interface ExternalTensor extends TensorPayload {
  /** Type and shape for its entry. */
  readonly described: Tensor;
}

type ExternalTensors = PayloadList<ExternalTensor>;

/** The lengths of tensors in an order, in a column. */
function lengthsOf(external: ExternalTensors, order: Int32Array | undefined): Float64Array {
  const lengths = new Float64Array(external.length);
  for (let position = 0; position < lengths.length; position++) {
    lengths[position] = payloadLength(payloadAt(external, order?.[position] ?? position).data);
  }
  return lengths;
}

function sum(numbers: Float64Array): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function sharingWarnings(tensors: ExternalTensors): string[] {
  const runs = collectRuns(tensors);
  if (runs.length === tensors.length) return [];
  const first = new Int32Array(runs.length).fill(-1);
  let again = 0;
  let example = '';
  let sharing = 0;
  for (let index = 0; index < tensors.length; index++) {
    const { run, byteLength } = runs.part(index);
    again += byteLength;
    const other = first[run] as number;
    if (other < 0) {
      first[run] = index;
      continue;
    }
    const { tensor, data } = payloadAt(tensors, index);
    const otherTensor = payloadAt(tensors, other).tensor;
    if (data.kind === 'derived') throw sharedDerivation(tensor, otherTensor);
    if (sharing++ === 0) example = `${quoted(tensor)} with ${quoted(otherTensor)}`;
  }
  for (let run = 0; run < runs.length; run++) again -= runs.byteLength(run);
  const who =
    sharing === 1
      ? `a tensor shares bytes with another (${example})`
      : `${sharing} tensors share bytes with others (${example}, …)`;
  return [
    `${who}; safetensors cannot, so ${again} bytes (${formatSize(again)}) are written again; the data format raw keeps one copy`,
  ];
}

function sharedDerivation(tensor: string, other: string): PreconditionError {
  return new PreconditionError(
    'ERR_PRECONDITION',
    `${quoted(tensor)} and ${quoted(other)} are made as one, and safetensors cannot share bytes`,
    { hint: 'write the model with the data format raw first, then repack it as safetensors' },
  );
}

/** Tensors laid out, and what has to be written for that: told when it is asked for, but for lengths and places. */
class LaidTensors {
  readonly series: SafetensorsSeries;
  readonly byteLengths: Float64Array;
  readonly #tensors: SafetensorsTensors;
  /** Tensors in the order of their sources, and where each is in it; undefined where that is their own. */
  readonly #order: Int32Array | undefined;
  readonly #positions: Int32Array | undefined;
  readonly #external: ExternalTensors;
  /** Parts of headers: to know where they begin takes making their text. */
  readonly #headers = new Map<SafetensorsFile, readonly HeaderPart[]>();

  constructor(external: ExternalTensors, { layout }: DataFileOptions) {
    const names = new EntryNames(external);
    const order = inSourceOrder(external);
    this.#order = order;
    this.#positions = order && new Int32Array(order.length);
    order?.forEach((index, position) => {
      if (this.#positions !== undefined) this.#positions[index] = position;
    });
    this.#external = external;
    this.byteLengths = lengthsOf(external, order);
    this.#tensors = {
      byteLengths: this.byteLengths,
      labelOf: (position) => {
        const index = this.#indexAt(position);
        const { described, tensor } = payloadAt(external, index);
        const { dtype, dims } = described;
        const type = entryType(dtype, dims, this.byteLengths[position] as number);
        return entryLabel(names.of(index, tensor), type);
      },
      fillerName: names.fillerPrefix(),
    };
    this.series = layOutSafetensors(this.#tensors, layout);
  }

  #indexAt(position: number): number {
    return this.#order?.[position] ?? position;
  }

  #header(file: SafetensorsFile): readonly HeaderPart[] {
    const known = this.#headers.get(file);
    if (known !== undefined) return known;
    const parts = [...headerParts(this.#tensors, this.series, file)];
    this.#headers.set(file, parts);
    return parts;
  }

  /** What is written to a file, in order of offsets. */
  *placedRuns(file: SafetensorsFile, name: string): Generator<PlacedRun> {
    for (const { byteOffset, data } of this.#header(file)) {
      const run = { data, byteLength: data.byteLength, tensor: 'the header' };
      yield { run, file: name, byteOffset };
    }
    for (let position = file.first; position < file.last; position++) {
      const payload = payloadAt(this.#external, this.#indexAt(position));
      const run = {
        data: payload.data,
        byteLength: this.byteLengths[position] as number,
        get tensor() {
          return payload.tensor;
        },
      };
      yield { run, file: name, byteOffset: this.series.byteOffsets[position] as number };
    }
  }

  /** Where the tensor number `index` of those given is. */
  placeOf(index: number, byteLength: number, nameOf: (file: number) => string) {
    const position = this.#positions?.[index] ?? index;
    const byteOffset = this.series.byteOffsets[position];
    if (byteOffset === undefined) throw new RangeError(`no payload ${index}`);
    const file = this.series.files.findIndex(({ last }) => position < last);
    return { file: nameOf(file), byteOffset, byteLength };
  }

  /** True when a source file is just what this one shall be. */
  isThere(file: SafetensorsFile, name: string, { kept }: DataFileOptions): boolean {
    if (kept?.what !== 'files') return false;
    const source = rangeOf(payloadAt(this.#external, this.#indexAt(file.first)).data)?.file;
    const location = source && kept.locationOf(source);
    if (source?.byteLength !== file.byteLength || location === undefined) return false;
    if (posix.normalize(location) !== name) return false;
    for (const { run, byteOffset } of this.placedRuns(file, name)) {
      const { data } = run;
      const range = rangeOf(data);
      const isSame =
        range === undefined
          ? data.kind === 'inline' && kept.holds(source, byteOffset, data.bytes)
          : range.file === source && range.byteOffset === byteOffset;
      if (!isSame) return false;
    }
    return true;
  }
}

/**
 * Gives every tensor its place in a series of safetensors files called `wanted`. Throws a PreconditionError for
 * tensors that are made as one, and for a model that does not fit the format.
 */
export function placeSafetensors(
  external: ExternalTensors,
  wanted: string,
  options: DataFileOptions,
): PlacedRuns {
  const { isTaken, layout } = options;
  const warnings = sharingWarnings(external);
  const laid = new LaidTensors(external, options);
  const { files: shards } = laid.series;
  const nameOf = (first: string, index: number) => seriesName(first, index, shards.length);
  const stays = shards.every((file, index) => laid.isThere(file, nameOf(wanted, index), options));
  const first = stays
    ? wanted
    : freshName(wanted, (name) => shards.some((_, index) => isTaken(nameOf(name, index))));
  if (first !== wanted && (layout.dataName ?? layout.dataFormat) !== undefined) {
    warnings.push(`${wanted} is taken; the data goes to ${first}`);
  }
  const files: PlannedFile[] = [];
  const written: { readonly file: SafetensorsFile; readonly name: string }[] = [];
  for (const [index, file] of shards.entries()) {
    const name = nameOf(first, index);
    const { byteLength } = file;
    if (byteLength > (layout.maxFileSize ?? Number.POSITIVE_INFINITY)) {
      warnings.push(
        `${name} has ${formatSize(byteLength)} with a single tensor, which is not split`,
      );
    }
    if (stays) continue;
    files.push({ name, byteLength });
    written.push({ file, name });
  }
  return {
    files,
    *written(only) {
      for (const { file, name } of written) {
        if (only === undefined || name === only) yield* laid.placedRuns(file, name);
      }
    },
    placeOf: (index, byteLength) => laid.placeOf(index, byteLength, (file) => nameOf(first, file)),
    aliases: 0,
    valueBytes: sum(laid.byteLengths),
    warnings,
  };
}
