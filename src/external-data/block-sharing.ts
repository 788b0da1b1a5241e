/**
 * Block sharing: the stretches of an output that lie in a source file just as they shall lie in the output. File
 * systems such as XFS and btrfs can have the output refer to the same blocks, which takes no time and no room. Pure.
 */

import { KIB, MIB } from '../bytes.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import type { PlannedWrite } from './plan.ts';

/** Both ends of a shared stretch lie at multiples of this, but where both files end. */
const BLOCK = 4 * KIB;
/** Below this a copy is as cheap. */
const LEAST_STRETCH = MIB;
/** Padding longer than this ends a stretch: it would have to be read. */
const LONGEST_GAP = 64 * KIB;

/** A stretch with more padding than this has many small tensors, each of which would have to be looked at. */
const MOST_GAPS = 4096;

/** A range of the output. */
export interface Extent {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A stretch of an output file that a source file holds. */
export interface SharedStretch extends Extent {
  readonly source: SourceFile;
  readonly sourceOffset: number;
  /** Padding between tensors: zeros in the output, whatever the source has there. */
  readonly gaps: readonly Extent[];
}

/** A stretch that grows write by write. */
interface Candidate {
  readonly source: SourceFile;
  /** Offset in the output less that in the source. */
  readonly shift: number;
  readonly start: number;
  end: number;
  readonly gaps: Extent[];
}

function trimmed(candidate: Candidate, fileBytes: number): SharedStretch | undefined {
  const { source, shift, gaps } = candidate;
  const isEnd = candidate.end === fileBytes && candidate.end - shift === source.byteLength;
  const start = Math.ceil(candidate.start / BLOCK) * BLOCK;
  const end = isEnd ? candidate.end : Math.floor(candidate.end / BLOCK) * BLOCK;
  if (end - start < LEAST_STRETCH) return undefined;
  return {
    source,
    sourceOffset: start - shift,
    byteOffset: start,
    byteLength: end - start,
    gaps: gaps.filter(
      ({ byteOffset, byteLength }) => byteOffset + byteLength > start && byteOffset < end,
    ),
  };
}

/**
 * The stretches that a file of `fileBytes` bytes can share with its sources, in order.
 * @param writes those of this file, in order of offsets
 */
export function sharedStretches(
  writes: Iterable<PlannedWrite>,
  fileBytes: number,
): SharedStretch[] {
  const stretches: SharedStretch[] = [];
  let open: Candidate | undefined;
  const close = () => {
    const stretch = open && trimmed(open, fileBytes);
    if (stretch) stretches.push(stretch);
    open = undefined;
  };
  for (const { data, byteOffset, byteLength } of writes) {
    if (data.kind !== 'range') {
      close();
      continue;
    }
    const shift = byteOffset - data.byteOffset;
    const gap = open === undefined ? 0 : byteOffset - open.end;
    if (open?.source !== data.file || open.shift !== shift || gap > LONGEST_GAP) {
      close();
      if (shift % BLOCK !== 0) continue;
      open = { source: data.file, shift, start: byteOffset, end: byteOffset, gaps: [] };
    } else if (gap > 0) {
      open.gaps.push({ byteOffset: open.end, byteLength: gap });
      if (open.gaps.length > MOST_GAPS) {
        open = undefined;
        continue;
      }
    }
    open.end = byteOffset + byteLength;
  }
  close();
  return stretches;
}

/** What of `whole` lies outside of `taken`, which are in order and do not overlap. */
export function outside(whole: Extent, taken: readonly Extent[]): Extent[] {
  const rest: Extent[] = [];
  const end = whole.byteOffset + whole.byteLength;
  let at = whole.byteOffset;
  for (const { byteOffset, byteLength } of taken) {
    if (byteOffset >= end) break;
    if (byteOffset > at) rest.push({ byteOffset: at, byteLength: byteOffset - at });
    at = Math.max(at, byteOffset + byteLength);
  }
  if (at < end) rest.push({ byteOffset: at, byteLength: end - at });
  return rest;
}
