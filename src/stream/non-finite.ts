/** Finds out which element of a weight is not finite, so that the answer does not depend on how the work was cut. */

import { readSync } from 'node:fs';
import { MIB } from '../bytes.ts';
import { floatByteLength } from '../kernels/float-types.ts';
import type { FloatTypeCode } from '../kernels/kernel.ts';
import type { Program } from './program.ts';

/** A NaN, an infinity or a number too large to quantize in a weight: the first in the order in which its source is stored. */
export interface NonFiniteHit {
  /** Index of the quantize job. */
  readonly job: number;
  readonly channel: number;
  readonly element: number;
}

/** The hit that `tile` reported at `index`, in source order within the tile. */
export function locateNonFinite(program: Program, tileIndex: number, index: number): NonFiniteHit {
  const tile = program.tiles.at(tileIndex);
  const job = program.jobs[tile.job];
  if (job?.kernel !== 'quantize') throw new RangeError(`tile ${tileIndex} quantizes nothing`);
  const { layout, n, type } = job.parameters;
  if (layout === 'rows') {
    // Tiles of rows follow the source, so the lowest tile has the first hit.
    const channel = tile.firstChannel + Math.floor(index / tile.elements);
    return { job: tile.job, channel, element: tile.firstElement + (index % tile.elements) };
  }
  // A panel holds only some columns: an earlier row may have a hit in a later panel. Look from the top.
  const row = tile.firstElement + Math.floor(index / tile.channels);
  const column = tile.firstChannel + (index % tile.channels);
  const [input] = tile.inputs;
  const source = program.inputs[input?.file ?? 0];
  if (input === undefined || source === undefined) throw new RangeError('a strip without input');
  const start =
    input.byteOffset - (tile.firstElement * n + tile.firstChannel) * floatByteLength(type);
  const flat = firstNonFinite(source.fd, start, row * n + column, type);
  return { job: tile.job, channel: flat % n, element: Math.floor(flat / n) };
}

/** Index of the first non-finite element among the first `count`, or `count` when there is none. */
function firstNonFinite(fd: number, start: number, count: number, type: FloatTypeCode): number {
  const size = floatByteLength(type);
  const buffer = new Uint8Array(MIB);
  const isHit = exponentTest(buffer, type);
  for (let done = 0; done < count; ) {
    const wanted = Math.min(count - done, buffer.length / size) * size;
    const got = readSync(fd, buffer, 0, wanted, start + done * size);
    const elements = Math.floor(got / size);
    if (elements === 0) break;
    for (let i = 0; i < elements; i++) if (isHit(i)) return done + i;
    done += elements;
  }
  return count;
}

/** Tells whether element `i` of `buffer` is NaN, infinity or, by its exponent, not below `quantizableLimit`. */
function exponentTest(buffer: Uint8Array, type: FloatTypeCode): (i: number) => boolean {
  if (type === 1) {
    const words = new Uint32Array(buffer.buffer);
    return (i) => ((words[i] ?? 0) & 0x7f800000) >= 0x7f000000;
  }
  const [mask, limit] = type === 10 ? [0x7c00, 0x7c00] : [0x7f80, 0x7f00];
  const words = new Uint16Array(buffer.buffer);
  return (i) => ((words[i] ?? 0) & mask) >= limit;
}
