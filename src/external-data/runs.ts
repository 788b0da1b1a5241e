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
  /** Number of the run. */
  readonly run: number;
  readonly byteLength: number;
  readonly byteOffset: number;
}

/** A tensor's bytes before it is known who shares them. */
export interface TensorPayload {
  readonly data: PayloadData;
  readonly tensor: string;
}

/** Payloads by number, told as often as they are asked for: there may be a million. An array will do. */
export interface PayloadList<Payload extends TensorPayload = TensorPayload> {
  readonly length: number;
  at(index: number): Payload | undefined;
}

export function payloadLength(data: PayloadData): number {
  if (data.kind === 'range') return data.byteLength;
  if (data.kind === 'inline') return inlineByteLength(data);
  return data.derivation.outputs[data.output]?.byteLength ?? 0;
}

/** The payload number `index`. Throws a RangeError when there is none. */
export function payloadAt<Payload extends TensorPayload>(
  payloads: PayloadList<Payload>,
  index: number,
): Payload {
  const payload = payloads.at(index);
  if (payload === undefined) throw new RangeError(`no payload ${index}`);
  return payload;
}

/** The source range whose place in its file decides where a run goes; undefined for bytes in memory. */
export function originOf(data: PayloadData): FileRange | undefined {
  if (data.kind === 'range') return data;
  return data.kind === 'derived' ? data.derivation.sources[0] : data.range;
}

/** Stands for a file where bytes are in memory: they come after those of all files. */
const MEMORY = 2 ** 30;

/** Where payloads come from, in columns. */
class Origins {
  /** Numbers of files, as these are first met, or MEMORY. */
  readonly #files: Int32Array;
  readonly #byteOffsets: Float64Array;
  /** 1 for payloads that are no copies of a range. */
  readonly #made: Uint8Array;

  constructor(payloads: PayloadList) {
    const { length } = payloads;
    this.#files = new Int32Array(length);
    this.#byteOffsets = new Float64Array(length);
    this.#made = new Uint8Array(length);
    const files = new Map<SourceFile, number>();
    for (let index = 0; index < length; index++) {
      const { data } = payloadAt(payloads, index);
      const range = originOf(data);
      this.#made[index] = data.kind === 'range' ? 0 : 1;
      if (range === undefined) {
        this.#files[index] = MEMORY;
        continue;
      }
      const file = files.get(range.file) ?? files.size;
      if (file === files.size) files.set(range.file, file);
      this.#files[index] = file;
      this.#byteOffsets[index] = range.byteOffset;
    }
  }

  file(index: number): number {
    return this.#files[index] as number;
  }

  /**
   * The payloads in the order of their sources: files as they are met, then places, then as they were given; at the
   * end what is in memory. Undefined where that is the order they have.
   * @param madeFirst of what comes from one place, what is made of it before copies
   */
  inOrder(madeFirst: boolean): Int32Array | undefined {
    const compare = (a: number, b: number) =>
      this.file(a) - this.file(b) ||
      (this.#byteOffsets[a] as number) - (this.#byteOffsets[b] as number) ||
      (madeFirst ? (this.#made[b] as number) - (this.#made[a] as number) : 0) ||
      a - b;
    const { length } = this.#files;
    let isOrdered = true;
    for (let index = 1; isOrdered && index < length; index++) {
      isOrdered = compare(index - 1, index) < 0;
    }
    return isOrdered ? undefined : Int32Array.from(this.#files.keys()).sort(compare);
  }
}

/** The payloads in the order of their sources; undefined where they are in that order. */
export function inSourceOrder(payloads: PayloadList): Int32Array | undefined {
  return new Origins(payloads).inOrder(false);
}

/** Distinct runs in the order of their sources, and the part of each payload, in columns. */
export class RunList {
  readonly #payloads: PayloadList;
  readonly #runs: Int32Array;
  /** By run: the payload it was begun with. */
  readonly #firsts: Int32Array;
  readonly #byteLengths: Float64Array;
  #count = 0;
  /** Where payloads begin in their runs; undefined while all begin where these do. */
  #starts: Float64Array | undefined;

  constructor(payloads: PayloadList) {
    const { length } = payloads;
    this.#payloads = payloads;
    this.#runs = new Int32Array(length);
    this.#firsts = new Int32Array(length);
    this.#byteLengths = new Float64Array(length);
  }

  /** Number of runs. */
  get length(): number {
    return this.#count;
  }

  /** Number of payloads. */
  get payloads(): number {
    return this.#runs.length;
  }

  /** Begins a run with payload `index`; returns its number. */
  begin(index: number, byteLength: number): number {
    const run = this.#count++;
    this.#firsts[run] = index;
    this.#byteLengths[run] = byteLength;
    this.#runs[index] = run;
    return run;
  }

  /** Adds payload `index`, so far from its beginning, to a run. */
  add(index: number, run: number, byteOffset: number, byteLength: number): void {
    this.#runs[index] = run;
    this.#byteLengths[run] = Math.max(this.byteLength(run), byteOffset + byteLength);
    if (byteOffset === 0) return;
    this.#starts ??= new Float64Array(this.payloads);
    this.#starts[index] = byteOffset;
  }

  byteLength(run: number): number {
    return this.#byteLengths[run] as number;
  }

  /** The run number `run`. Throws a RangeError when there is none. */
  at(run: number): Run {
    const first = this.#firsts[run];
    if (first === undefined || run >= this.#count) throw new RangeError(`no run ${run}`);
    return new PayloadRun(payloadAt(this.#payloads, first), this.byteLength(run));
  }

  *[Symbol.iterator](): Generator<Run> {
    for (let run = 0; run < this.#count; run++) yield this.at(run);
  }

  /** Where payload `index` begins in its run. */
  start(index: number): number {
    return this.#starts?.[index] ?? 0;
  }

  /** Number of the run of payload `index`. */
  runOf(index: number): number {
    return this.#runs[index] ?? -1;
  }

  /** The part of payload `index`. Throws a RangeError when there is none. */
  part(index: number): RunPart {
    const byteLength = payloadLength(payloadAt(this.#payloads, index).data);
    return { run: this.runOf(index), byteOffset: this.start(index), byteLength };
  }
}

/** A run, made of the payload that it was begun with. */
class PayloadRun implements Run {
  readonly data: PayloadData;
  readonly byteLength: number;
  readonly #payload: TensorPayload;

  constructor(payload: TensorPayload, byteLength: number) {
    const { data } = payload;
    const isWhole = data.kind !== 'range' || data.byteLength === byteLength;
    this.data = isWhole ? data : { ...data, byteLength };
    this.byteLength = byteLength;
    this.#payload = payload;
  }

  /** Made when it is asked for: it is for messages. */
  get tensor(): string {
    return this.#payload.tensor;
  }
}

/** Finds the distinct runs of `payloads`. Ranges must not be empty. */
export function collectRuns(payloads: PayloadList): RunList {
  const runs = new RunList(payloads);
  const origins = new Origins(payloads);
  const order = origins.inOrder(true);
  const made = new Map<DerivedData['derivation'], number[]>();
  const inMemory = new Map<InlineData, number>();
  let open = -1;
  let file = -1;
  let start = 0;
  for (let position = 0; position < payloads.length; position++) {
    const index = order?.[position] ?? position;
    const { data } = payloadAt(payloads, index);
    const byteLength = payloadLength(data);
    if (data.kind === 'range') {
      const distance = data.byteOffset - start;
      const isWithin = open >= 0 && origins.file(index) === file;
      if (isWithin && distance < runs.byteLength(open)) {
        runs.add(index, open, distance, byteLength);
        continue;
      }
      open = runs.begin(index, byteLength);
      file = origins.file(index);
      start = data.byteOffset;
    } else if (data.kind === 'derived') {
      const outputs = made.get(data.derivation) ?? [];
      made.set(data.derivation, outputs);
      const known = outputs[data.output];
      if (known === undefined) outputs[data.output] = runs.begin(index, byteLength);
      else runs.add(index, known, 0, byteLength);
    } else {
      const known = inMemory.get(data);
      if (known !== undefined) {
        runs.add(index, known, 0, byteLength);
        continue;
      }
      const run = runs.begin(index, byteLength);
      // What is described anew at each look is shared with nobody.
      if (payloadAt(payloads, index).data === data) inMemory.set(data, run);
    }
  }
  return runs;
}
