/** One tile through a TypeScript kernel; the twin of class Worker in native/jobs.cc. */

import type { Job, Tile, TileInput, TileOutput } from './program.ts';
import { COPY_PIECE } from './program-layout.ts';

/** Memory and files, as a tile sees them. Reads and writes throw a TileFailure. */
export interface TileIo {
  /** The shared slot that `place` names, from its offset on. */
  slot(place: TileInput | TileOutput): Uint8Array;
  /** Working memory, free again when the next tile starts. Starts on a cache line. */
  take(byteLength: number): Uint8Array;
  /** Reads an input from its file, its segments `strideBytes` apart in `to`. */
  read(input: TileInput, to: Uint8Array, strideBytes: number): void;
  write(output: TileOutput, from: Uint8Array): void;
}

/** What a tile found: the first non-finite element in source order or -1, and the numbers of a fold. */
export interface TileOutcome {
  readonly hit: number;
  readonly fold?: readonly number[];
}

const DONE: TileOutcome = { hit: -1 };

/** Reads the inputs of a tile, computes, and writes its outputs. */
export function runTileKernel(job: Job, tile: Tile, io: TileIo): TileOutcome {
  switch (job.kernel) {
    case 'copy':
      return copy(tile, io);
    default:
      throw new RangeError(`no kernel ${job.kernel}`);
  }
}

function copy(tile: Tile, io: TileIo): TileOutcome {
  const [input] = tile.inputs;
  const [output] = tile.outputs;
  if (!input || !output) throw new RangeError('a copy without input or output');
  const byteLength = input.segmentByteLength;
  if (input.file < 0) {
    io.write(output, io.slot(input).subarray(0, byteLength));
    return DONE;
  }
  if (output.file < 0) {
    io.read(input, io.slot(output), byteLength);
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
