/** How codes, scales and zero points of a panel lie in a slot, and the tiles that move them. Pure. */

import { MIB } from '../bytes.ts';
import { alignLine, type ChannelBytes } from './channel-bytes.ts';
import type { TileInput, TileOutput, UnorderedTile } from './program.ts';

// Reading and writing a slot is shared by the threads in parts of this size.
const SLOT_TILE = MIB;

/** Parts of a slot in the order codes, scales, zero points; each starts on a cache line. */
export interface SlotParts {
  readonly offsets: readonly number[];
  /** Bytes per channel. */
  readonly strides: readonly number[];
  readonly byteLengths: readonly number[];
  readonly byteLength: number;
}

/** Lays out `channels` whole channels. */
export function slotParts(whole: ChannelBytes, channels: number): SlotParts {
  const strides = [whole.codes, whole.scales, whole.zeroPoints];
  const byteLengths = strides.map((stride) => stride * channels);
  const offsets: number[] = [];
  let byteLength = 0;
  for (const length of byteLengths) {
    offsets.push(byteLength);
    byteLength += alignLine(length);
  }
  return { offsets, strides, byteLengths, byteLength };
}

function* cut(byteLength: number): Generator<[done: number, length: number]> {
  for (let done = 0; done < byteLength; done += SLOT_TILE) {
    yield [done, Math.min(SLOT_TILE, byteLength - done)];
  }
}

const WHOLE = { firstChannel: 0, channels: 0, firstElement: 0, elements: 0 };

/** Tiles that write one part of a slot; `place` gives the place of its byte `done`. */
export function drainSlot(
  job: number,
  slot: number,
  parts: SlotParts,
  part: number,
  place: (done: number) => TileOutput,
): UnorderedTile[] {
  const start = parts.offsets[part] ?? 0;
  return Array.from(cut(parts.byteLengths[part] ?? 0), ([done, length]) => ({
    job,
    ...WHOLE,
    inputs: [
      {
        file: -1 - slot,
        byteOffset: start + done,
        segmentByteLength: length,
        segments: 1,
        strideBytes: length,
      },
    ],
    outputs: [place(done)],
  }));
}

/** Tiles that read one part of a slot; `source` gives the `length` bytes from byte `done` on. */
export function fillSlot(
  job: number,
  slot: number,
  parts: SlotParts,
  part: number,
  source: (done: number, length: number) => TileInput,
): UnorderedTile[] {
  const start = parts.offsets[part] ?? 0;
  return Array.from(cut(parts.byteLengths[part] ?? 0), ([done, length]) => ({
    job,
    ...WHOLE,
    inputs: [source(done, length)],
    outputs: [{ file: -1 - slot, byteOffset: start + done }],
  }));
}
