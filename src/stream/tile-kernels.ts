/** One tile through its kernel without the addon; the twin of class Worker in native/tile-worker.h. */

import type { QuantizeTarget } from '../kernels/block-quantizer.ts';
import { castFloats, measureCast } from '../kernels/cast.ts';
import { type CompareResult, compareBits } from '../kernels/compare.ts';
import { floatByteLength } from '../kernels/float-types.ts';
import { packedByteLength } from '../kernels/kernel.ts';
import type { ErrorSum } from '../kernels/measure.ts';
import { relayoutFlat, relayoutTransposed } from '../kernels/relayout.ts';
import { tieGate } from '../kernels/tie-gate.ts';
import { blockFormat, channelBytes, paddedStride } from './channel-bytes.ts';
import type {
  CastJob,
  CompareJob,
  Job,
  MeasureCastJob,
  QuantizeJob,
  RelayoutJob,
  TieGateJob,
  Tile,
  TileInput,
  TileOutput,
} from './program.ts';
import { COPY_PIECE } from './program-layout.ts';
import type { QuantizeKernels } from './quantize-kernels.ts';
import { columnElements } from './relayout-tiles.ts';

/** Kernels, memory and files, as a tile sees them. Reads and writes throw a TileFailure. */
export interface TileIo {
  /** They reach what ring() and take() give. */
  readonly kernels: QuantizeKernels;
  /** The ring from the offset of `place` on; it lies in one buffer with what take() gives. */
  ring(place: TileInput | TileOutput): Uint8Array;
  /** Most that take() gives a tile. */
  readonly scratchByteLength: number;
  /** Working memory, free again when the next tile starts. Starts on a cache line. */
  take(byteLength: number): Uint8Array;
  /** Reads an input from its file, its segments `strideBytes` apart in `to`. */
  read(input: TileInput, to: Uint8Array, strideBytes: number): void;
  write(output: TileOutput, from: Uint8Array): void;
}

/** What a tile found: the first non-finite element in source order or -1, the numbers of a fold, what was measured. */
export interface TileOutcome {
  readonly hit: number;
  readonly fold?: readonly number[];
  readonly error?: ErrorSum;
}

const DONE: TileOutcome = { hit: -1 };

const EMPTY = new Uint8Array(0);

/** Reads the inputs of a tile, computes, and writes its outputs. */
export function runTileKernel(job: Job, tile: Tile, io: TileIo): TileOutcome {
  switch (job.kernel) {
    case 'copy':
      return copy(tile, io);
    case 'quantize':
      return job.parameters.layout === 'rows'
        ? quantizeRowTile(job, tile, io)
        : quantizeColumnTile(job, tile, io);
    case 'tie-gate':
      return foldTieGate(job, tile, io);
    case 'compare':
      return foldCompare(job, tile, io);
    case 'cast':
      return cast(job, tile, io);
    case 'measure-cast':
      return foldMeasureCast(job, tile, io);
    case 'relayout':
      return relayout(job, tile, io);
  }
}

function copy(tile: Tile, io: TileIo): TileOutcome {
  const [input] = tile.inputs;
  const [output] = tile.outputs;
  if (!input || !output) throw new RangeError('a copy without input or output');
  const byteLength = input.segmentByteLength;
  if (input.file < 0) return gather(tile, output, io);
  if (output.file < 0) {
    io.read(input, io.ring(output), byteLength);
    return DONE;
  }
  const buffer = io.take(Math.min(COPY_PIECE, byteLength));
  for (let done = 0; done < byteLength; done += buffer.length) {
    const length = Math.min(buffer.length, byteLength - done);
    const piece = buffer.subarray(0, length);
    const byteOffset = input.byteOffset + done;
    io.read(
      { ...input, byteOffset, segmentByteLength: length, strideBytes: length },
      piece,
      length,
    );
    io.write({ ...output, byteOffset: output.byteOffset + done }, piece);
  }
  return DONE;
}

/**
 * Writes what the ring holds in runs of all channels' shares, channel by channel: as many channels at a time as scratch
 * memory holds.
 */
function gather(tile: Tile, output: TileOutput, io: TileIo): TileOutcome {
  const { channels } = tile;
  const runs = tile.inputs.flatMap((input) => {
    const share = input.segmentByteLength / channels;
    const ring = io.ring(input);
    return Array.from({ length: input.segments }, (_, i) => ({
      share,
      bytes: ring.subarray(i * input.strideBytes, i * input.strideBytes + share * channels),
    }));
  });
  const perChannel = runs.reduce((sum, { share }) => sum + share, 0);
  const step = Math.floor(Math.min(COPY_PIECE, io.scratchByteLength) / perChannel);
  if (step === 0) {
    let byteOffset = output.byteOffset;
    for (let channel = 0; channel < channels; channel++) {
      for (const { share, bytes } of runs) {
        io.write({ ...output, byteOffset }, bytes.subarray(channel * share, (channel + 1) * share));
        byteOffset += share;
      }
    }
    return DONE;
  }
  const buffer = io.take(Math.min(step, channels) * perChannel);
  // Ring and scratch are parts of it: a share is moved within, and no view of it is made.
  const memory = new Uint8Array(buffer.buffer);
  for (let first = 0; first < channels; first += step) {
    const count = Math.min(step, channels - first);
    let to = buffer.byteOffset;
    for (const { share, bytes } of runs) {
      const from = bytes.byteOffset + first * share;
      for (let i = 0; i < count; i++) {
        const start = from + i * share;
        memory.copyWithin(to + i * perChannel, start, start + share);
      }
      to += share;
    }
    const byteOffset = output.byteOffset + first * perChannel;
    io.write({ ...output, byteOffset }, buffer.subarray(0, count * perChannel));
  }
  return DONE;
}

/** An input as the kernels see it: rows `strideBytes` apart. */
interface View {
  readonly bytes: Uint8Array;
  readonly strideBytes: number;
}

function fetch(io: TileIo, input: TileInput | undefined): View {
  if (input === undefined) throw new RangeError('a tile lacks an input');
  const { segments, segmentByteLength } = input;
  if (input.file < 0) {
    const { strideBytes } = input;
    const reach = (segments - 1) * strideBytes + segmentByteLength;
    return { bytes: io.ring(input).subarray(0, reach), strideBytes };
  }
  const strideBytes = segments > 1 ? paddedStride(segmentByteLength) : segmentByteLength;
  const bytes = io.take(segments * strideBytes);
  io.read(input, bytes, strideBytes);
  return { bytes, strideBytes };
}

/** Where the results of `elements` elements per channel go. */
function quantizeTarget(
  job: QuantizeJob,
  elements: number,
  [codes, scales, zeroPoints]: readonly (Uint8Array | undefined)[],
): QuantizeTarget {
  if (!codes || !scales) throw new RangeError('a quantizer lacks an output');
  const strides = channelBytes(blockFormat(job), elements);
  return {
    codes,
    codesStride: strides.codes,
    scales,
    scalesStride: strides.scales,
    zeroPoints,
    zeroPointsStride: strides.zeroPoints,
  };
}

function quantizeRowTile(job: QuantizeJob, tile: Tile, io: TileIo): TileOutcome {
  const source = fetch(io, tile.inputs[0]);
  const { codes, scales, zeroPoints } = channelBytes(blockFormat(job), tile.elements);
  const lengths = job.parameters.symmetric ? [codes, scales] : [codes, scales, zeroPoints];
  const results = lengths.map((length) => io.take(tile.channels * length));
  const outcome = quantize(job, tile, io, source, results);
  if (outcome.hit >= 0) return outcome;
  tile.outputs.forEach((output, part) => {
    io.write(output, results[part] ?? EMPTY);
  });
  return outcome;
}

function quantizeColumnTile(job: QuantizeJob, tile: Tile, io: TileIo): TileOutcome {
  const source = fetch(io, tile.inputs[0]);
  const results = tile.outputs.map((output) => io.ring(output));
  return quantize(job, tile, io, source, results);
}

/** Quantizes a tile and, where that is asked, measures what came of it. */
function quantize(
  job: QuantizeJob,
  tile: Tile,
  { kernels }: TileIo,
  { bytes: source, strideBytes }: View,
  results: readonly Uint8Array[],
): TileOutcome {
  const { parameters } = job;
  const { channels, elements } = tile;
  const target = quantizeTarget(job, elements, results);
  const weight = { parameters, source, strideBytes, channels, elements, target };
  const hit = kernels.quantize(weight);
  if (hit >= 0 || !job.measured) return { hit };
  const first = tile.firstChannel * parameters.k + tile.firstElement;
  return { hit, error: kernels.measure(weight, first) };
}

function cast({ parameters }: CastJob, tile: Tile, io: TileIo): TileOutcome {
  const { bytes } = fetch(io, tile.inputs[0]);
  const made = io.take(tile.elements * floatByteLength(parameters.to));
  castFloats(parameters, bytes, made);
  return writeOut(tile, io, made);
}

function relayout({ parameters }: RelayoutJob, tile: Tile, io: TileIo): TileOutcome {
  const { bytes, strideBytes } = fetch(io, tile.inputs[0]);
  if (!parameters.transposed) {
    const made = io.take(tile.elements);
    relayoutFlat(parameters, bytes, made);
    return writeOut(tile, io, made);
  }
  const { bits, columns } = parameters;
  const [output] = tile.outputs;
  if (output === undefined) throw new RangeError('a relayout without output');
  const before = tile.firstChannel * columnElements(bits);
  relayoutTransposed(parameters, {
    source: bytes,
    rowStride: strideBytes,
    rows: tile.elements,
    columns: Math.min(tile.channels * columnElements(bits), columns - before),
    target: io.ring(output),
    columnStride: packedByteLength(bits, tile.elements),
  });
  return DONE;
}

function writeOut(tile: Tile, io: TileIo, made: Uint8Array): TileOutcome {
  const [output] = tile.outputs;
  if (output === undefined) throw new RangeError('a tile lacks an output');
  io.write(output, made);
  return DONE;
}

/** Codes, scales or zero points as if each channel had only the tile's elements. */
function fetchCompact(io: TileIo, input: TileInput): Uint8Array {
  const { bytes, strideBytes } = fetch(io, input);
  const { segments, segmentByteLength } = input;
  if (segments === 1) return bytes;
  const compact = io.take(segments * segmentByteLength);
  for (let i = 0; i < segments; i++) {
    const start = i * strideBytes;
    compact.set(bytes.subarray(start, start + segmentByteLength), i * segmentByteLength);
  }
  return compact;
}

function foldTieGate(job: TieGateJob, tile: Tile, io: TileIo): TileOutcome {
  const table = fetch(io, tile.inputs[0]);
  const [codes, scales, zeroPoints] = tile.inputs.slice(1).map((input) => fetchCompact(io, input));
  if (!codes || !scales) throw new RangeError('a tie gate lacks an input');
  const size = floatByteLength(job.type);
  const { elements, channels } = tile;
  const columns = job.layout === 'columns';
  const result = tieGate(
    { ...job, k: elements },
    {
      table: table.bytes,
      channelStride: columns ? size : elements * size,
      elementStride: columns ? table.strideBytes : size,
      channels,
      firstChannel: 0,
      codes,
      scales,
      zeroPoints,
    },
  );
  const { compared, rejected, worstSteps, worstIndex: worst } = result;
  const channel = tile.firstChannel + Math.floor(worst / elements);
  const worstIndex = worst < 0 ? -1 : channel * job.k + tile.firstElement + (worst % elements);
  return { hit: -1, fold: [compared, rejected, worstSteps, worstIndex] };
}

function foldMeasureCast({ parameters }: MeasureCastJob, tile: Tile, io: TileIo): TileOutcome {
  const { bytes } = fetch(io, tile.inputs[0]);
  const { overflowed, zeroed, subnormal, peak } = measureCast(parameters, bytes);
  return { hit: -1, fold: [overflowed, zeroed, subnormal, peak] };
}

function foldCompare(job: CompareJob, tile: Tile, io: TileIo): TileOutcome {
  const { elementBytes: size, transposed } = job;
  const { elements, channels } = tile;
  const a = fetch(io, tile.inputs[0]);
  const b = fetch(io, tile.inputs[1]);
  if (!transposed) {
    const range = (bytes: Uint8Array) => ({ bytes, rowStride: 0, columnStride: size });
    const result = compareBits(size, range(a.bytes), range(b.bytes), 1, elements, 0);
    return compareOutcome(result, (first) => tile.firstElement + first);
  }
  const result = compareBits(
    size,
    { bytes: a.bytes, rowStride: a.strideBytes, columnStride: size },
    { bytes: b.bytes, rowStride: size, columnStride: b.strideBytes },
    elements,
    channels,
    0,
  );
  return compareOutcome(result, (first) => {
    const row = tile.firstElement + Math.floor(first / channels);
    return row * job.columns + tile.firstChannel + (first % channels);
  });
}

function compareOutcome(result: CompareResult, place: (first: number) => number): TileOutcome {
  const { compared, different, firstIndex } = result;
  return { hit: -1, fold: [compared, different, firstIndex < 0 ? -1 : place(firstIndex), 0] };
}
