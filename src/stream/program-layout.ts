/** The program under construction: files, tiles and what they need. Pure; ProgramBuilder is its face. */

import { floatByteLength } from '../kernels/float-types.ts';
import type { FileRange, SourceFile } from '../model/tensor-data.ts';
import { type Budget, divideBudget } from './budget.ts';
import { alignLine, blockFormat, channelBytes, paddedStride } from './channel-bytes.ts';
import { PanelQueue } from './panel-queue.ts';
import { RING_BYTES } from './panels.ts';
import type {
  Job,
  OutputFile,
  OutputPlace,
  Program,
  TileInput,
  TileOutput,
  UnorderedTile,
} from './program.ts';
import { TileList } from './tile-list.ts';
import { type Extent, type ExtentSeries, seriesOf, type TileSeries } from './tile-series.ts';

/** A copy between files passes through a buffer of this size (kWritePiece in native/io.h). */
export const COPY_PIECE = 256 * 1024;

/** Working memory a tile takes on its thread, in bytes. The addon computes the same (native/program.cc). */
export function scratchNeeded(job: Job, tile: UnorderedTile): number {
  const [first] = tile.inputs;
  if (job.kernel === 'copy') {
    const buffered = (first?.file ?? -1) >= 0 && (tile.outputs[0]?.file ?? -1) >= 0;
    return buffered ? Math.min(COPY_PIECE, first?.segmentByteLength ?? 0) : 0;
  }
  let bytes = 0;
  tile.inputs.forEach((input, position) => {
    const strided = input.segments > 1;
    const compact = job.kernel === 'tie-gate' && position > 0;
    if (input.file < 0) {
      if (strided && compact) bytes += alignLine(input.segments * input.segmentByteLength);
      return;
    }
    const stride = strided ? paddedStride(input.segmentByteLength) : input.segmentByteLength;
    bytes += alignLine(input.segments * stride);
  });
  if (job.kernel === 'quantize' && job.parameters.layout === 'rows') {
    const { codes, scales, zeroPoints } = channelBytes(blockFormat(job), tile.elements);
    for (const part of [codes, scales, zeroPoints]) bytes += alignLine(tile.channels * part);
  }
  if (job.kernel === 'cast') {
    bytes += alignLine(tile.elements * floatByteLength(job.parameters.to));
  } else if (job.kernel === 'relayout' && !job.parameters.transposed) {
    bytes += alignLine(tile.elements);
  }
  return bytes;
}

/** Interns files, appends tiles and keeps account of memory. */
export class ProgramLayout {
  readonly budget: Budget;
  readonly panels: PanelQueue;
  readonly #jobs: Job[] = [];
  readonly #tiles = new TileList();
  readonly #inputs = new Map<SourceFile, number>();
  readonly #outputs = new Map<OutputFile, number>();
  #scratchBytes = 0;
  #inputBytes = 0;

  constructor(memoryBytes: number, threads: number) {
    this.budget = divideBudget(memoryBytes, threads);
    const ringBytes = Math.min(RING_BYTES, this.budget.ringBytes);
    this.panels = new PanelQueue(ringBytes, (series, index, after) =>
      this.#append(series, index, after),
    );
  }

  /** Appends a job and gives its index. */
  addJob(job: Job): number {
    return this.#jobs.push(job) - 1;
  }

  /** Appends the tiles `make` gives for extents; they wait for nothing. */
  pushAll(extents: Iterable<ExtentSeries>, make: (extent: Extent) => UnorderedTile): void {
    for (const series of seriesOf(extents, make)) {
      for (let index = 0; index < series.count; index++) {
        this.#append(series, index, 0);
        this.panels.mix();
      }
    }
  }

  /** Appends tile `index` of a series, which waits for the first `after`; gives the number of tiles. */
  #append(series: TileSeries, index: number, after: number): number {
    if (index === 0) this.#account(series);
    this.#tiles.push(series, index, after);
    return this.#tiles.length;
  }

  #account({ first, count }: TileSeries): void {
    const job = this.#jobs[first.job];
    if (job === undefined) throw new RangeError(`no job ${first.job}`);
    this.#scratchBytes = Math.max(this.#scratchBytes, scratchNeeded(job, first));
    for (const { file, segments, segmentByteLength } of first.inputs) {
      if (file >= 0) this.#inputBytes += count * segments * segmentByteLength;
    }
  }

  /** A contiguous part of a range. */
  input(range: FileRange, byteOffset: number, byteLength: number): TileInput {
    return {
      file: intern(this.#inputs, range.file),
      byteOffset: range.byteOffset + byteOffset,
      segmentByteLength: byteLength,
      segments: 1,
      strideBytes: byteLength,
    };
  }

  /** A strip of a weight with `n` columns whose elements take `elementBytes`. */
  strip(range: FileRange, strip: Extent, n: number, elementBytes: number): TileInput {
    const { firstChannel, channels, firstElement, elements } = strip;
    return {
      file: intern(this.#inputs, range.file),
      byteOffset: range.byteOffset + (firstElement * n + firstChannel) * elementBytes,
      segmentByteLength: channels * elementBytes,
      segments: elements,
      strideBytes: n * elementBytes,
    };
  }

  /** A place in an output file, `byteOffset` further on. */
  output(place: OutputPlace, byteOffset: number): TileOutput {
    const file = intern(this.#outputs, place.file);
    return { file, byteOffset: place.byteOffset + byteOffset };
  }

  finish(): Program {
    this.panels.finish();
    const { memoryBytes, threads } = this.budget;
    const ringBytes = this.panels.usedBytes;
    const used = ringBytes + threads * this.#scratchBytes;
    if (used > memoryBytes) throw new RangeError(`tiles need ${used} of ${memoryBytes} bytes`);
    return {
      jobs: this.#jobs,
      tiles: this.#tiles,
      inputs: [...this.#inputs.keys()],
      outputs: [...this.#outputs.keys()],
      ringBytes,
      scratchBytes: this.#scratchBytes,
      threads,
      memoryBytes,
      inputBytes: this.#inputBytes,
    };
  }
}

function intern<File>(files: Map<File, number>, file: File): number {
  const known = files.get(file);
  if (known !== undefined) return known;
  files.set(file, files.size);
  return files.size - 1;
}
