/**
 * Runs: what a data file holds once, however many tensors refer to it. Equal ranges of a source file are one run, and
 * so are ranges that overlap: their union is stored, and each tensor keeps its distance from the start. Pure.
 */

import {
  type DerivedData,
  type FileRange,
  type InlineData,
  inlineByteLength,
  type SourceFile,
} from '../model/tensor-data.ts';

/** Bytes that are copied, made, or at hand: what a writer has to produce. */
export type PayloadData = FileRange | DerivedData | InlineData;

/** Bytes that go to one place. */
export interface Run {
  readonly data: PayloadData;
  readonly byteLength: number;
  /** A tensor that has these bytes, for messages. */
  readonly tensor: string;
}

/** A run and its place in a list. */
export interface ListedRun extends Run {
  /** Set when all runs are known. */
  number: number;
}

/** The bytes of a tensor within a run. */
export interface RunPart {
  readonly run: ListedRun;
  readonly byteLength: number;
  readonly byteOffset: number;
}

/** A tensor's bytes before it is known who shares them. */
export interface TensorPayload {
  readonly data: PayloadData;
  readonly tensor: string;
}

/** The parts of many payloads, in two columns: there may be a million. */
export class RunParts {
  readonly #runs: (ListedRun | undefined)[] = [];
  readonly #byteOffsets: number[] = [];
  readonly #byteLengths: number[] = [];

  get length(): number {
    return this.#runs.length;
  }

  /** Makes room for the part of one more payload; returns the number of the payload. */
  add(byteLength: number): number {
    this.#byteOffsets.push(0);
    this.#byteLengths.push(byteLength);
    return this.#runs.push(undefined) - 1;
  }

  set(index: number, run: ListedRun, byteOffset: number): void {
    this.#runs[index] = run;
    this.#byteOffsets[index] = byteOffset;
  }

  /** The part of payload `index`. Throws a RangeError when there is none. */
  at(index: number): RunPart {
    const run = this.#runs[index];
    if (run === undefined) throw new RangeError(`no payload ${index}`);
    const byteOffset = this.#byteOffsets[index] as number;
    return { run, byteOffset, byteLength: this.#byteLengths[index] as number };
  }
}

/** Distinct runs in the order of their sources, and the part of each payload, in the order given. */
export interface RunList {
  readonly runs: readonly ListedRun[];
  readonly parts: RunParts;
}

export function payloadLength(data: PayloadData): number {
  if (data.kind === 'range') return data.byteLength;
  if (data.kind === 'inline') return inlineByteLength(data);
  return data.derivation.outputs[data.output]?.byteLength ?? 0;
}

/** The source range whose place in its file decides where a run goes; undefined for bytes in memory. */
function origin(data: PayloadData): FileRange | undefined {
  if (data.kind === 'range') return data;
  return data.kind === 'derived' ? data.derivation.sources[0] : data.range;
}

/** Payloads of one file, each by its number. */
interface FilePayloads {
  readonly indexes: number[];
  readonly ranges: FileRange[];
  readonly tensors: string[];
}

/** Union of ranges of one file, in order of their start. */
function mergeOverlaps(
  { indexes, ranges, tensors }: FilePayloads,
  runs: ListedRun[],
  parts: RunParts,
): void {
  const rangeAt = (at: number) => ranges[at] as FileRange;
  const order = Int32Array.from(indexes.keys());
  order.sort((a, b) => rangeAt(a).byteOffset - rangeAt(b).byteOffset || a - b);
  for (let first = 0; first < order.length; ) {
    const at = order[first] as number;
    const range = rangeAt(at);
    let end = range.byteOffset + range.byteLength;
    let next = first + 1;
    for (; next < order.length; next++) {
      const { byteOffset, byteLength } = rangeAt(order[next] as number);
      if (byteOffset >= end) break;
      end = Math.max(end, byteOffset + byteLength);
    }
    const byteLength = end - range.byteOffset;
    const data = byteLength === range.byteLength ? range : { ...range, byteLength };
    const run = { data, byteLength, tensor: tensors[at] as string, number: 0 };
    runs.push(run);
    for (const member of order.subarray(first, next)) {
      parts.set(indexes[member] as number, run, rangeAt(member).byteOffset - range.byteOffset);
    }
    first = next;
  }
}

/** Finds the distinct runs of `payloads`. Ranges must not be empty. */
export function collectRuns(payloads: Iterable<TensorPayload>): RunList {
  const parts = new RunParts();
  const runs: ListedRun[] = [];
  const files = new Map<SourceFile, FilePayloads>();
  const made = new Map<DerivedData['derivation'], ListedRun[]>();
  const inMemory = new Map<InlineData, ListedRun>();
  const fileOrder = new Map<SourceFile | undefined, number>();
  for (const { data, tensor } of payloads) {
    const index = parts.add(payloadLength(data));
    const file = origin(data)?.file;
    if (!fileOrder.has(file)) fileOrder.set(file, fileOrder.size);
    const add = () => {
      const run = { data, byteLength: payloadLength(data), tensor, number: 0 };
      runs.push(run);
      return run;
    };
    if (data.kind === 'range') {
      const list = files.get(data.file) ?? { indexes: [], ranges: [], tensors: [] };
      files.set(data.file, list);
      list.indexes.push(index);
      list.ranges.push(data);
      list.tensors.push(tensor);
    } else if (data.kind === 'derived') {
      const outputs = made.get(data.derivation) ?? [];
      made.set(data.derivation, outputs);
      outputs[data.output] ??= add();
      parts.set(index, outputs[data.output] as ListedRun, 0);
    } else {
      const run = inMemory.get(data) ?? add();
      inMemory.set(data, run);
      parts.set(index, run, 0);
    }
  }
  for (const list of files.values()) mergeOverlaps(list, runs, parts);
  fileOrder.set(undefined, fileOrder.size);
  const fileOf = (run: Run) => fileOrder.get(origin(run.data)?.file) ?? 0;
  const offsetOf = (run: Run) => origin(run.data)?.byteOffset ?? 0;
  runs.sort((a, b) => fileOf(a) - fileOf(b) || offsetOf(a) - offsetOf(b));
  for (const [number, run] of runs.entries()) run.number = number;
  return { runs, parts };
}
