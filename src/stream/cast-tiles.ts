/** Tiles of casts, and of what measures them. Pure. */

import { floatByteLength } from '../kernels/float-types.ts';
import type { CastParameters } from '../kernels/kernel.ts';
import type { FileRange } from '../model/tensor-data.ts';
import type { OutputPlace } from './program.ts';
import type { ProgramLayout } from './program-layout.ts';
import { rowTiles } from './row-tiles.ts';

// Writes then start on cache lines, whatever the two types are.
const UNIT = 64;

/** A tensor in flat runs; without `place` nothing is written. */
export function layCast(
  layout: ProgramLayout,
  index: number,
  { from, to, count }: Pick<CastParameters, 'from' | 'to' | 'count'>,
  source: FileRange,
  place?: OutputPlace,
): void {
  const size = floatByteLength(from);
  const made = place === undefined ? 0 : floatByteLength(to);
  const work = {
    n: 1,
    k: count,
    unit: UNIT,
    bytes: (elements: number) => elements * (size + made),
  };
  layout.pushAll(rowTiles(work, layout.budget, `casting ${count} elements`), (extent) => {
    const { firstElement, elements } = extent;
    return {
      job: index,
      ...extent,
      inputs: [layout.input(source, firstElement * size, elements * size)],
      outputs: place === undefined ? [] : [layout.output(place, firstElement * made)],
    };
  });
}
