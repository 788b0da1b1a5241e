/** How codes, scales and zero points of a panel lie in the ring, and the tiles that move them. Pure. */

import { MIB } from '../bytes.ts';
import { alignLine, type ChannelBytes } from './channel-bytes.ts';
import { RING, type TileInput, type TileOutput, type UnorderedTile } from './program.ts';
import { piecesOf, type TileSeries, tileSeries } from './tile-series.ts';

// Reading and writing a panel is shared by the threads in parts of this size.
const PANEL_TILE = MIB;

/** Parts of a panel in the order codes, scales, zero points; each starts on a cache line. */
export interface PanelParts {
  readonly offsets: readonly number[];
  /** Bytes per channel. */
  readonly strides: readonly number[];
  readonly byteLengths: readonly number[];
  readonly byteLength: number;
}

/** Lays out `channels` whole channels. */
export function panelParts(whole: ChannelBytes, channels: number): PanelParts {
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

const WHOLE = { firstChannel: 0, channels: 0, firstElement: 0, elements: 0 };

/** A panel as strips fill it: `rows` elements of each channel in every strip but, where `k` has a rest, the last. */
export interface StripedPanel {
  readonly channels: number;
  readonly rows: number;
  readonly k: number;
  /** Bytes of this part that a channel has of its first so many elements. */
  readonly bytes: (elements: number) => number;
}

/**
 * Tiles that write the part of a panel at `start`, which strips have filled. Each strip leaves its results of all channels in one
 * run, after those of the strips before it: threads that work on neighbouring strips then share no cache line, and no
 * line is visited twice. `place` gives the place of byte `done` of the part as files have it, channel by channel.
 */
export function* drainStrips(
  job: number,
  start: number,
  panel: StripedPanel,
  place: (done: number) => TileOutput,
): Generator<TileSeries> {
  const { channels, rows, k, bytes } = panel;
  const whole = Math.floor(k / rows);
  const share = bytes(rows);
  const rest = bytes(k) - whole * share;
  const step = Math.max(1, Math.floor(PANEL_TILE / bytes(k)));
  const tile = (first: number, count: number): UnorderedTile => {
    const inputs: TileInput[] = [];
    if (whole > 0) {
      inputs.push({
        file: RING,
        byteOffset: start + first * share,
        segmentByteLength: count * share,
        segments: whole,
        strideBytes: channels * share,
      });
    }
    if (rest > 0) {
      inputs.push({
        file: RING,
        byteOffset: start + whole * channels * share + first * rest,
        segmentByteLength: count * rest,
        segments: 1,
        strideBytes: count * rest,
      });
    }
    return { job, ...WHOLE, channels: count, inputs, outputs: [place(first * bytes(k))] };
  };
  for (const { start: first, size, count } of piecesOf(channels, step)) {
    yield tileSeries(count, (index) => tile(first + index * size, size));
  }
}

/** Tiles that bring `byteLength` bytes to `start`; `source` gives the `length` ones from byte `done` on. */
export function fillPart(
  job: number,
  start: number,
  byteLength: number,
  source: (done: number, length: number) => TileInput,
): TileSeries[] {
  return piecesOf(byteLength, PANEL_TILE).map(({ start: first, size, count }) =>
    tileSeries(count, (index) => {
      const done = first + index * size;
      return {
        job,
        ...WHOLE,
        inputs: [source(done, size)],
        outputs: [{ file: RING, byteOffset: start + done }],
      };
    }),
  );
}
