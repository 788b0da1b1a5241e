/** From runs to data files: which file each goes to, under which name, and what can stay where it is. Pure. */

import { posix } from 'node:path';
import { formatSize, withLength } from '../bytes.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { freshName, type Layout, layOut, seriesName } from './layout.ts';
import type { Run, RunList } from './runs.ts';
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
  /** What goes into them, file by file in order of offsets; of one file where `name` is given. */
  written(name?: string): Iterable<PlacedRun>;
  /** Where the payload number `index` of the list, of `byteLength` bytes, is. */
  placeOf(index: number, byteLength: number): ExternalPlace;
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

/** Runs of one series, by their numbers, as laid out. */
interface LaidRuns {
  readonly list: RunList;
  readonly numbers: Int32Array;
  readonly byteOffsets: Float64Array;
}

/** A data file as laid out: the runs from `first` to before `last` of its series. */
interface LaidFile {
  readonly byteLength: number;
  readonly first: number;
  readonly last: number;
}

/** The runs of a file, and where each goes. */
function* runsIn({ list, numbers, byteOffsets }: LaidRuns, { first, last }: LaidFile) {
  for (let at = first; at < last; at++) {
    yield { run: list.at(numbers[at] as number), byteOffset: byteOffsets[at] as number };
  }
}

/** True when the file is the whole of one source file, which has every run where the output has it. */
function isSourceAsItIs(laid: LaidRuns, file: LaidFile, source: SourceFile): boolean {
  if (source.byteLength !== file.byteLength) return false;
  for (const { run, byteOffset } of runsIn(laid, file)) {
    const { data } = run;
    const isSame = data.kind === 'range' && data.file === source && data.byteOffset === byteOffset;
    if (!isSame) return false;
  }
  return true;
}

/** Lays out the runs with these numbers. */
function layFiles(list: RunList, numbers: Int32Array, layout: Layout) {
  const lengths = Float64Array.from(numbers, (run) => list.byteLength(run));
  const { files: fileOf, byteOffsets, byteLengths } = layOut(lengths, layout);
  let last = 0;
  const files = byteLengths.map((byteLength, file): LaidFile => {
    const first = last;
    while (fileOf[last] === file) last++;
    return { byteLength, first, last };
  });
  return { laid: { list, numbers, byteOffsets }, files };
}

/** True when the input has the whole series, under these names. */
function isThere(
  first: string,
  laid: LaidRuns,
  files: readonly LaidFile[],
  { kept }: DataFileOptions,
): boolean {
  if (kept?.what !== 'files') return false;
  return files.every((file, index) => {
    const source = sourceOf(laid.list.at(laid.numbers[file.first] as number));
    const location = source && kept.locationOf(source);
    if (source === undefined || location === undefined) return false;
    const isNamed = posix.normalize(location) === seriesName(first, index, files.length);
    return isNamed && isSourceAsItIs(laid, file, source);
  });
}

function layoutWarnings(list: RunList, { layout }: DataFileOptions): string[] {
  const { maxFileSize = Number.POSITIVE_INFINITY, align = 1 } = layout;
  const warnings: string[] = [];
  for (let run = 0; run < list.length; run++) {
    const byteLength = list.byteLength(run);
    if (byteLength <= maxFileSize) continue;
    warnings.push(
      `tensor "${list.at(run).tensor}" has ${formatSize(byteLength)}, more than ${formatSize(maxFileSize)}; it is in a file of its own, whole`,
    );
  }
  let crossing = 0;
  for (let index = 0; index < list.payloads; index++)
    if (list.start(index) % align !== 0) crossing++;
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

  constructor({ length }: RunList) {
    this.#files = new Int32Array(length);
    this.#byteOffsets = new Float64Array(length);
  }

  /** @param file index in `names` */
  set(run: number, file: number, byteOffset: number): void {
    this.#files[run] = file;
    this.#byteOffsets[run] = byteOffset;
  }

  file(run: number): string {
    return this.names[this.#files[run] as number] ?? '';
  }

  byteOffset(run: number): number {
    return this.#byteOffsets[run] as number;
  }
}

/** A list of numbers of runs that grows. */
class RunNumbers {
  #numbers = new Int32Array(1024);
  #count = 0;

  push(run: number): void {
    if (this.#count === this.#numbers.length) {
      this.#numbers = withLength(this.#numbers, 2 * this.#count);
    }
    this.#numbers[this.#count++] = run;
  }

  get all(): Int32Array {
    return this.#numbers.subarray(0, this.#count);
  }
}

/** Places the runs that stay in files of the input; returns the others by the series they go to. */
function splitSeries(list: RunList, places: Places, options: DataFileOptions) {
  const { dataNameOf, kept } = options;
  const series = new Map<string, RunNumbers>();
  for (let number = 0; number < list.length; number++) {
    const run = list.at(number);
    const { data } = run;
    const location =
      kept?.what === 'ranges' && data.kind === 'range' ? kept.locationOf(data.file) : undefined;
    if (location !== undefined && data.kind === 'range') {
      const known = places.names.indexOf(location);
      const file = known < 0 ? places.names.push(location) - 1 : known;
      places.set(number, file, data.byteOffset);
      continue;
    }
    const first = dataNameOf?.(sourceOf(run)) ?? '';
    const runs = series.get(first) ?? new RunNumbers();
    series.set(first, runs);
    runs.push(number);
  }
  return series;
}

/** Gives every run of `list` its place, in order, and every data file its name. */
export function placeRuns(list: RunList, options: DataFileOptions): PlacedRuns {
  const { isTaken, layout } = options;
  const places = new Places(list);
  const files: PlannedFile[] = [];
  const written: { readonly name: string; readonly numbers: Int32Array }[] = [];
  const warnings = layoutWarnings(list, options);
  for (const [wanted, { all }] of splitSeries(list, places, options)) {
    const { laid, files: ofSeries } = layFiles(list, all, layout);
    const stays = isThere(wanted, laid, ofSeries, options);
    const isUsed = (name: string) => isTaken(name) || files.some((file) => file.name === name);
    const first = stays
      ? wanted
      : freshName(wanted, (name) =>
          ofSeries.some((_, index) => isUsed(seriesName(name, index, ofSeries.length))),
        );
    if (first !== wanted && layout.dataName !== undefined) {
      warnings.push(`${wanted} is taken; the data goes to ${first}`);
    }
    for (const [index, file] of ofSeries.entries()) {
      const name = seriesName(first, index, ofSeries.length);
      const number = places.names.push(name) - 1;
      for (let at = file.first; at < file.last; at++) {
        places.set(all[at] as number, number, laid.byteOffsets[at] as number);
      }
      if (stays) continue;
      files.push({ name, byteLength: file.byteLength });
      written.push({ name, numbers: all.subarray(file.first, file.last) });
    }
  }
  let valueBytes = 0;
  for (let run = 0; run < list.length; run++) valueBytes += list.byteLength(run);
  return {
    files,
    *written(only) {
      for (const { name, numbers } of written) {
        if (only !== undefined && name !== only) continue;
        for (const run of numbers) {
          yield { run: list.at(run), file: name, byteOffset: places.byteOffset(run) };
        }
      }
    },
    placeOf(index, byteLength) {
      const run = list.runOf(index);
      const byteOffset = places.byteOffset(run) + list.start(index);
      return { file: places.file(run), byteOffset, byteLength };
    },
    aliases: list.payloads - list.length,
    valueBytes,
    warnings,
  };
}
