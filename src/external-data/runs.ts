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

/** The bytes of a tensor within a run. */
export interface RunPart {
  readonly run: Run;
  readonly byteOffset: number;
}

/** A tensor's bytes before it is known who shares them. */
export interface TensorPayload {
  readonly data: PayloadData;
  readonly tensor: string;
}

/** Distinct runs in the order of their sources, and the part of each payload, in the order given. */
export interface RunList {
  readonly runs: readonly Run[];
  readonly parts: readonly RunPart[];
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

interface RangePayload {
  readonly index: number;
  readonly range: FileRange;
  readonly tensor: string;
}

/** Union of ranges of one file, in order of their start. */
function mergeOverlaps(
  ranges: readonly RangePayload[],
  add: (run: Run, members: readonly RangePayload[]) => void,
): void {
  for (let first = 0; first < ranges.length; ) {
    const { range, tensor } = ranges[first] as RangePayload;
    let end = range.byteOffset + range.byteLength;
    let next = first + 1;
    for (; next < ranges.length; next++) {
      const { byteOffset, byteLength } = (ranges[next] as RangePayload).range;
      if (byteOffset >= end) break;
      end = Math.max(end, byteOffset + byteLength);
    }
    const byteLength = end - range.byteOffset;
    const data = byteLength === range.byteLength ? range : { ...range, byteLength };
    add({ data, byteLength, tensor }, ranges.slice(first, next));
    first = next;
  }
}

/** Finds the distinct runs of `payloads`. Ranges must not be empty. */
export function collectRuns(payloads: readonly TensorPayload[]): RunList {
  const parts: RunPart[] = [];
  const runs: Run[] = [];
  const ranges = new Map<SourceFile, RangePayload[]>();
  const others = new Map<object, Run[]>();
  const fileOrder = new Map<SourceFile | undefined, number>();
  payloads.forEach(({ data, tensor }, index) => {
    const file = origin(data)?.file;
    if (!fileOrder.has(file)) fileOrder.set(file, fileOrder.size);
    if (data.kind === 'range') {
      const list = ranges.get(data.file) ?? [];
      list.push({ index, range: data, tensor });
      ranges.set(data.file, list);
      return;
    }
    const [owner, output] = data.kind === 'derived' ? [data.derivation, data.output] : [data, 0];
    const known = others.get(owner) ?? [];
    others.set(owner, known);
    if (known[output] === undefined) {
      known[output] = { data, byteLength: payloadLength(data), tensor };
      runs.push(known[output]);
    }
    parts[index] = { run: known[output], byteOffset: 0 };
  });
  for (const list of ranges.values()) {
    list.sort((a, b) => a.range.byteOffset - b.range.byteOffset);
    mergeOverlaps(list, (run, members) => {
      runs.push(run);
      const start = members[0]?.range.byteOffset ?? 0;
      for (const { index, range } of members) {
        parts[index] = { run, byteOffset: range.byteOffset - start };
      }
    });
  }
  fileOrder.set(undefined, fileOrder.size);
  const key = (run: Run) => {
    const range = origin(run.data);
    return { file: fileOrder.get(range?.file) ?? 0, byteOffset: range?.byteOffset ?? 0 };
  };
  const keyed = runs.map((run) => ({ run, ...key(run) }));
  keyed.sort((a, b) => a.file - b.file || a.byteOffset - b.byteOffset);
  return { runs: keyed.map(({ run }) => run), parts };
}
