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
import { collectRuns, payloadLength, type TensorPayload } from './runs.ts';
import { entryLabel, entryType, METADATA_NAME } from './safetensors.ts';
import {
  headerParts,
  layOutSafetensors,
  type SafetensorsFile,
  type SafetensorsSeries,
  type SafetensorsTensors,
} from './safetensors-layout.ts';

/** A tensor that goes to a data file. */
export interface ExternalTensor extends TensorPayload {
  /** Type and shape for its entry. */
  readonly described: Tensor;
}

/** Names for the entries, each once: of tensors that have the same, all but the first get a number. */
function entryNames(tensors: readonly ExternalTensor[]): string[] {
  // Half of a surrogate pair is no text for other readers.
  const plain = tensors.map(({ tensor }) => tensor.replace(/\p{Surrogate}/gu, '\ufffd'));
  const wanted = new Set(plain);
  const taken = new Set([METADATA_NAME]);
  return plain.map((name) => {
    let unique = name;
    for (let count = 2; taken.has(unique); count++) {
      unique = `${name}.${count}`;
      if (wanted.has(unique)) taken.add(unique);
    }
    taken.add(unique);
    return unique;
  });
}

/** What names of fillers begin with, and none of `names`. */
function fillerPrefix(names: readonly string[]): string {
  let prefix = '__padding_';
  while (names.some((name) => name.startsWith(prefix))) prefix += '_';
  return prefix;
}

/** The tensors in the order of their sources: files as they are met, then places, then the model's own order. */
function inSourceOrder(tensors: readonly ExternalTensor[]): number[] {
  const files = new Map<unknown, number>();
  const keys = tensors.map(({ data }) => {
    const range = data.kind === 'derived' ? data.derivation.sources[0] : rangeOf(data);
    const file = files.get(range?.file) ?? files.size;
    files.set(range?.file, file);
    return {
      file: range === undefined ? Number.POSITIVE_INFINITY : file,
      at: range?.byteOffset ?? 0,
    };
  });
  const order = tensors.map((_, index) => index);
  const keyOf = (index: number) => keys[index] ?? { file: 0, at: 0 };
  return order.sort((a, b) => {
    const [first, second] = [keyOf(a), keyOf(b)];
    return first.file === second.file ? first.at - second.at : first.file < second.file ? -1 : 1;
  });
}

function sharingWarnings(tensors: readonly ExternalTensor[]): string[] {
  const { runs, parts } = collectRuns(tensors);
  const total = tensors.reduce((sum, { data }) => sum + payloadLength(data), 0);
  const again = total - runs.reduce((sum, run) => sum + run.byteLength, 0);
  if (again === 0) return [];
  const first = new Map<object, string>();
  let example = '';
  let sharing = 0;
  tensors.forEach(({ tensor, data }, index) => {
    const { run } = parts.at(index);
    const other = first.get(run);
    if (other === undefined) {
      first.set(run, tensor);
      return;
    }
    if (data.kind === 'derived') throw sharedDerivation(tensor, other);
    if (sharing++ === 0) example = `${quoted(tensor)} with ${quoted(other)}`;
  });
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

/** Tensors laid out, and what has to be written for that. */
class LaidTensors {
  readonly series: SafetensorsSeries;
  readonly #tensors: SafetensorsTensors;
  readonly #order: readonly number[];
  readonly #positions: Uint32Array;
  readonly #external: readonly ExternalTensor[];

  constructor(external: readonly ExternalTensor[], { layout }: DataFileOptions) {
    const names = entryNames(external);
    const order = inSourceOrder(external);
    const indexOf = (position: number) => order[position] as number;
    this.#order = order;
    this.#positions = new Uint32Array(order.length);
    for (const [position, index] of order.entries()) this.#positions[index] = position;
    this.#external = external;
    this.#tensors = {
      byteLengths: order.map((index) => payloadLength((external[index] as ExternalTensor).data)),
      labelOf: (position) => {
        const { described, data } = external[indexOf(position)] as ExternalTensor;
        const { dtype, dims } = described;
        const type = entryType(dtype, dims, payloadLength(data));
        return entryLabel(names[indexOf(position)] as string, type);
      },
      fillerName: fillerPrefix(names),
    };
    this.series = layOutSafetensors(this.#tensors, layout);
  }

  /** What is written to a file, in order of offsets. */
  *placedRuns(file: SafetensorsFile, name: string): Generator<PlacedRun> {
    for (const { byteOffset, data } of headerParts(this.#tensors, this.series, file)) {
      const run = { data, byteLength: data.byteLength, tensor: 'the header' };
      yield { run, file: name, byteOffset };
    }
    for (let position = file.first; position < file.last; position++) {
      const { data, tensor } = this.#external[this.#order[position] as number] as ExternalTensor;
      const run = { data, byteLength: this.#tensors.byteLengths[position] as number, tensor };
      yield { run, file: name, byteOffset: this.series.runs[position]?.byteOffset ?? 0 };
    }
  }

  /** Where the tensor number `index` of those given is. */
  placeOf(index: number, nameOf: (file: number) => string) {
    const position = this.#positions[index] ?? -1;
    const run = this.series.runs[position];
    const byteLength = this.#tensors.byteLengths[position];
    if (run === undefined || byteLength === undefined) throw new RangeError(`no payload ${index}`);
    return { file: nameOf(run.file), byteOffset: run.byteOffset, byteLength };
  }

  /** True when a source file is just what this one shall be. */
  isThere(file: SafetensorsFile, name: string, { kept }: DataFileOptions): boolean {
    if (kept?.what !== 'files') return false;
    const first = this.#external[this.#order[file.first] as number];
    const source = rangeOf(first?.data)?.file;
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
  external: readonly ExternalTensor[],
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
  const written: PlacedRun[] = [];
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
    for (const placed of laid.placedRuns(file, name)) written.push(placed);
  }
  const placeOf = (index: number) => laid.placeOf(index, (file) => nameOf(first, file));
  const valueBytes = external.reduce((sum, { data }) => sum + payloadLength(data), 0);
  return { files, written: () => written, placeOf, aliases: 0, valueBytes, warnings };
}
