/** From runs to data files: which file each goes to, under which name, and what can stay where it is. Pure. */

import { posix } from 'node:path';
import { formatSize } from '../bytes.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { freshName, type Layout, layOut, seriesName } from './layout.ts';
import type { ListedRun, Run, RunList } from './runs.ts';
import type { ExternalPlace } from './tensor-fields.ts';

/** How values that do not stay in the `.onnx` are laid out. */
export interface DataFileOptions {
  /**
   * The first data file, by name, of the series for values of a source file (undefined: values in memory). Without
   * it there are no data files: everything goes inside the `.onnx`.
   */
  readonly dataNameOf: ((file: SourceFile | undefined) => string) | undefined;
  /** True for a name that a data file must not have, because another file has it. */
  readonly isTaken: (name: string) => boolean;
  readonly layout: Layout;
  /**
   * For an edit in place: the location under which the output may go on using a source file. `ranges`: whatever
   * tensors refer to stays where it is. `files`: data files stay when all of them are already just as laid out.
   */
  readonly kept?:
    | {
        readonly what: 'ranges' | 'files';
        locationOf(file: SourceFile): string | undefined;
        /** Whether a source file has these bytes there. */
        holds(file: SourceFile, byteOffset: number, bytes: Uint8Array): boolean;
      }
    | undefined;
}

/** One output file and its exact length. */
export interface PlannedFile {
  readonly name: string;
  readonly byteLength: number;
}

/** A run and its place in the output. */
export interface PlacedRun {
  readonly run: Run;
  readonly file: string;
  readonly byteOffset: number;
}

/** The data files of an output. */
export interface PlacedRuns {
  /** The files to write. */
  readonly files: readonly PlannedFile[];
  /** What goes into them, file by file in order of offsets. */
  written(): Iterable<PlacedRun>;
  /** Where the payload number `index` of the list is. */
  placeOf(index: number): ExternalPlace;
  /** Payloads that share the bytes of an earlier one. */
  readonly aliases: number;
  /** Bytes of all payloads, shared ones once. */
  readonly valueBytes: number;
  readonly warnings: readonly string[];
}

function sourceOf({ data }: Run): SourceFile | undefined {
  if (data.kind === 'range') return data.file;
  return data.kind === 'derived' ? data.derivation.sources[0].file : data.range?.file;
}

/** A data file as laid out. */
interface LaidFile {
  readonly byteLength: number;
  readonly runs: ListedRun[];
  readonly byteOffsets: number[];
}

/** True when the file is the whole of one source file, which has every run where the output has it. */
function isSourceAsItIs({ runs, byteOffsets, byteLength }: LaidFile): boolean {
  const source = runs[0] && sourceOf(runs[0]);
  return (
    source?.byteLength === byteLength &&
    runs.every(
      ({ data }, index) =>
        data.kind === 'range' && data.file === source && data.byteOffset === byteOffsets[index],
    )
  );
}

function layFiles(runs: readonly ListedRun[], layout: Layout): LaidFile[] {
  const lengths = runs.map((run) => run.byteLength);
  const laid = layOut(lengths, layout);
  const files = laid.byteLengths.map(
    (byteLength): LaidFile => ({ byteLength, runs: [], byteOffsets: [] }),
  );
  laid.runs.forEach(({ file, byteOffset }, index) => {
    files[file]?.runs.push(runs[index] as ListedRun);
    files[file]?.byteOffsets.push(byteOffset);
  });
  return files;
}

/** True when the input has the whole series, under these names. */
function isThere(first: string, files: readonly LaidFile[], { kept }: DataFileOptions): boolean {
  if (kept?.what !== 'files') return false;
  return files.every((file, index) => {
    const source = file.runs[0] && sourceOf(file.runs[0]);
    const location = source && kept.locationOf(source);
    const isNamed =
      location !== undefined &&
      posix.normalize(location) === seriesName(first, index, files.length);
    return isNamed && isSourceAsItIs(file);
  });
}

function layoutWarnings({ runs, parts }: RunList, { layout }: DataFileOptions): string[] {
  const { maxFileSize = Number.POSITIVE_INFINITY, align = 1 } = layout;
  const warnings = runs
    .filter((run) => run.byteLength > maxFileSize)
    .map(
      ({ tensor, byteLength }) =>
        `tensor "${tensor}" has ${formatSize(byteLength)}, more than ${formatSize(maxFileSize)}; it is in a file of its own, whole`,
    );
  let crossing = 0;
  for (let index = 0; index < parts.length; index++) {
    if (parts.at(index).byteOffset % align !== 0) crossing++;
  }
  if (crossing > 0) {
    warnings.push(
      `${crossing} tensors begin inside others, whose bytes they share, not at multiples of ${align}`,
    );
  }
  return warnings;
}

/** The place of each run of a list, in columns: there may be a million. */
class Places {
  readonly names: string[] = [];
  readonly #files: Int32Array;
  readonly #byteOffsets: Float64Array;

  constructor({ runs }: RunList) {
    this.#files = new Int32Array(runs.length);
    this.#byteOffsets = new Float64Array(runs.length);
  }

  /** @param file index in `names` */
  set({ number }: ListedRun, file: number, byteOffset: number): void {
    this.#files[number] = file;
    this.#byteOffsets[number] = byteOffset;
  }

  of(run: ListedRun): PlacedRun {
    const file = this.names[this.#files[run.number] as number] ?? '';
    return { run, file, byteOffset: this.#byteOffsets[run.number] as number };
  }
}

/** Gives every run of `list` its place, in order, and every data file its name. */
export function placeRuns(list: RunList, options: DataFileOptions): PlacedRuns {
  const { dataNameOf, isTaken, kept, layout } = options;
  const places = new Places(list);
  const series = new Map<string, ListedRun[]>();
  for (const run of list.runs) {
    const { data } = run;
    const location =
      kept?.what === 'ranges' && data.kind === 'range' ? kept.locationOf(data.file) : undefined;
    if (location !== undefined && data.kind === 'range') {
      const known = places.names.indexOf(location);
      const file = known < 0 ? places.names.push(location) - 1 : known;
      places.set(run, file, data.byteOffset);
      continue;
    }
    const first = dataNameOf?.(sourceOf(run)) ?? '';
    const runs = series.get(first);
    if (runs === undefined) series.set(first, [run]);
    else runs.push(run);
  }
  const files: PlannedFile[] = [];
  const written: (readonly ListedRun[])[] = [];
  const warnings = layoutWarnings(list, options);
  for (const [wanted, runs] of series) {
    const laid = layFiles(runs, layout);
    const stays = isThere(wanted, laid, options);
    const isUsed = (name: string) => isTaken(name) || files.some((file) => file.name === name);
    const first = stays
      ? wanted
      : freshName(wanted, (name) =>
          laid.some((_, index) => isUsed(seriesName(name, index, laid.length))),
        );
    if (first !== wanted && layout.dataName !== undefined) {
      warnings.push(`${wanted} is taken; the data goes to ${first}`);
    }
    laid.forEach(({ byteLength, runs: members, byteOffsets }, index) => {
      const name = seriesName(first, index, laid.length);
      const file = places.names.push(name) - 1;
      for (const [at, run] of members.entries()) places.set(run, file, byteOffsets[at] as number);
      if (stays) return;
      files.push({ name, byteLength });
      written.push(members);
    });
  }
  return {
    files,
    *written() {
      for (const members of written) for (const run of members) yield places.of(run);
    },
    placeOf(index) {
      const { run, byteOffset, byteLength } = list.parts.at(index);
      const place = places.of(run);
      return { file: place.file, byteOffset: place.byteOffset + byteOffset, byteLength };
    },
    aliases: list.parts.length - list.runs.length,
    valueBytes: list.runs.reduce((sum, run) => sum + run.byteLength, 0),
    warnings,
  };
}
