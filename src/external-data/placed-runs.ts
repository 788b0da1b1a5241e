/** From runs to data files: which file each goes to, under which name, and what can stay where it is. Pure. */

import { posix } from 'node:path';
import { formatSize } from '../bytes.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { freshName, type Layout, layOut, seriesName } from './layout.ts';
import type { Run, RunList } from './runs.ts';

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
  readonly written: readonly PlacedRun[];
  /** Where the payload number `index` of the list is. */
  placeOf(index: number): { readonly file: string; readonly byteOffset: number };
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
  readonly runs: { readonly run: Run; readonly byteOffset: number }[];
}

/** True when the file is the whole of one source file, which has every run where the output has it. */
function isSourceAsItIs({ runs, byteLength }: LaidFile): boolean {
  const source = runs[0] && sourceOf(runs[0].run);
  return (
    source?.byteLength === byteLength &&
    runs.every(
      ({ run: { data }, byteOffset }) =>
        data.kind === 'range' && data.file === source && data.byteOffset === byteOffset,
    )
  );
}

function layFiles(runs: readonly Run[], layout: Layout): LaidFile[] {
  const lengths = runs.map((run) => run.byteLength);
  const laid = layOut(lengths, layout);
  const files = laid.byteLengths.map((byteLength): LaidFile => ({ byteLength, runs: [] }));
  laid.runs.forEach(({ file, byteOffset }, index) => {
    files[file]?.runs.push({ run: runs[index] as Run, byteOffset });
  });
  return files;
}

/** True when the input has the whole series, under these names. */
function isThere(first: string, files: readonly LaidFile[], { kept }: DataFileOptions): boolean {
  if (kept?.what !== 'files') return false;
  return files.every((file, index) => {
    const source = file.runs[0] && sourceOf(file.runs[0].run);
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
  const crossing = parts.filter(({ byteOffset }) => byteOffset % align !== 0).length;
  if (crossing > 0) {
    warnings.push(
      `${crossing} tensors begin inside others, whose bytes they share, not at multiples of ${align}`,
    );
  }
  return warnings;
}

/** Gives every run of `list` its place, in order, and every data file its name. */
export function placeRuns(list: RunList, options: DataFileOptions): PlacedRuns {
  const { dataNameOf, isTaken, kept, layout } = options;
  const places = new Map<Run, PlacedRun>();
  const series = new Map<string, Run[]>();
  for (const run of list.runs) {
    const { data } = run;
    const location =
      kept?.what === 'ranges' && data.kind === 'range' ? kept.locationOf(data.file) : undefined;
    if (location !== undefined && data.kind === 'range') {
      places.set(run, { run, file: location, byteOffset: data.byteOffset });
      continue;
    }
    const first = dataNameOf?.(sourceOf(run)) ?? '';
    const runs = series.get(first);
    if (runs === undefined) series.set(first, [run]);
    else runs.push(run);
  }
  const files: PlannedFile[] = [];
  const written: PlacedRun[] = [];
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
    laid.forEach(({ byteLength, runs: members }, index) => {
      const file = seriesName(first, index, laid.length);
      if (!stays) files.push({ name: file, byteLength });
      for (const { run, byteOffset } of members) {
        const place = { run, file, byteOffset };
        places.set(run, place);
        if (!stays) written.push(place);
      }
    });
  }
  return {
    files,
    written,
    placeOf(index) {
      const part = list.parts[index];
      const place = part && places.get(part.run);
      if (part === undefined || place === undefined) throw new RangeError(`no payload ${index}`);
      return { file: place.file, byteOffset: place.byteOffset + part.byteOffset };
    },
    aliases: list.parts.length - list.runs.length,
    valueBytes: list.runs.reduce((sum, run) => sum + run.byteLength, 0),
    warnings,
  };
}
