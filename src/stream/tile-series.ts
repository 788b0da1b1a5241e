/**
 * Tiles that follow each other in equal steps. A model has thousands of tiles and few series of them: made one by one
 * they took as long as reading the graph. Pure.
 */

import type { UnorderedTile } from './program.ts';

/** Tiles each of which differs from the one before it by what the second differs from the first. */
export interface TileSeries {
  readonly count: number;
  readonly first: UnorderedTile;
  readonly second: UnorderedTile;
}

/**
 * The tiles `make` gives for 0 to `count` - 1. Only numbers that say where something begins may depend on the index, and
 * in equal steps: `make` is asked for the first two.
 */
export function tileSeries(count: number, make: (index: number) => UnorderedTile): TileSeries {
  const first = make(0);
  return { count, first, second: count > 1 ? make(1) : first };
}

/** `count` pieces of `size`, one after another from `start` on. */
export interface Pieces {
  readonly start: number;
  readonly size: number;
  readonly count: number;
}

/** `length` in pieces of `step`, and one for the rest. */
export function piecesOf(length: number, step: number): Pieces[] {
  const count = Math.floor(length / step);
  const rest = length - count * step;
  const whole = { start: 0, size: step, count };
  const last = { start: count * step, size: rest, count: 1 };
  return [...(count > 0 ? [whole] : []), ...(rest > 0 ? [last] : [])];
}

/** Channels and elements that a tile covers. */
export interface Extent {
  readonly firstChannel: number;
  readonly channels: number;
  readonly firstElement: number;
  readonly elements: number;
}

/** Extents in equal steps. */
export interface ExtentSeries {
  readonly count: number;
  readonly at: (index: number) => Extent;
}

/** The same elements of `count` groups of channels. */
export function alongChannels(
  { start, size: channels, count }: Pieces,
  firstElement: number,
  elements: number,
): ExtentSeries {
  return {
    count,
    at: (index) => ({ firstChannel: start + index * channels, channels, firstElement, elements }),
  };
}

/** `count` groups of elements of the same channels. */
export function alongElements(
  { start, size: elements, count }: Pieces,
  firstChannel: number,
  channels: number,
): ExtentSeries {
  return {
    count,
    at: (index) => ({ firstChannel, channels, firstElement: start + index * elements, elements }),
  };
}

/** The tiles `make` gives for the extents of each series. */
export function* seriesOf(
  extents: Iterable<ExtentSeries>,
  make: (extent: Extent) => UnorderedTile,
): Generator<TileSeries> {
  for (const { count, at } of extents) yield tileSeries(count, (index) => make(at(index)));
}
