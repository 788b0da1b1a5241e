/** How the ranges of tensors lie in their files: which bytes are shared, which are in nobody's range. Pure. */

import { basename } from 'node:path';
import { MIB } from '../bytes.ts';
import { quoted } from '../external-data/reference.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import type { Findings } from './findings.ts';
import type { TensorRanges } from './tensor-ranges.ts';

/** What tensors from this size on should start at a multiple of, to be mapped: a page. */
const PAGE = 4096;
const ALIGNED_FROM = MIB;

/** What the ranges add up to. */
export interface RangeSums {
  /** Tensors whose range is that of another one. */
  readonly aliases: number;
  /** Bytes in any range; shared ones count once. */
  readonly byteLength: number;
}

/** The file that is being looked at, and how far its ranges reach. */
interface Progress {
  readonly file: SourceFile;
  end: number;
  /** The range that ends there. */
  furthest: number;
  unused: number;
  /** The largest of the gaps that `unused` is made of. */
  largestGap: number;
}

/** Looks at the ranges in the order of their bytes. Memory: 4 bytes a range. */
class RangeCheck {
  aliases = 0;
  byteLength = 0;
  readonly #ranges: TensorRanges;
  readonly #model: SourceFile;
  readonly #nameOf: (id: number) => string;
  readonly #findings: Findings;

  constructor(
    ranges: TensorRanges,
    model: SourceFile,
    nameOf: (id: number) => string,
    findings: Findings,
    dataStart: (file: SourceFile) => number,
  ) {
    this.#ranges = ranges;
    this.#model = model;
    this.#nameOf = nameOf;
    this.#findings = findings;
    let progress: Progress | undefined;
    let previous: number | undefined;
    for (const index of ranges.inFileOrder()) {
      const { file, byteOffset, byteLength } = ranges.range(index);
      if (byteLength === 0) continue;
      if (previous !== undefined && ranges.isSame(previous, index)) {
        this.aliases++;
        continue;
      }
      if (progress?.file !== file) {
        this.#finish(progress);
        const end = Math.min(dataStart(file), byteOffset);
        progress = { file, end, furthest: index, unused: 0, largestGap: 0 };
      }
      this.#advance(progress, index);
      previous = index;
    }
    this.#finish(progress);
  }

  #advance(progress: Progress, index: number): void {
    const { file, byteOffset, byteLength } = this.#ranges.range(index);
    const end = byteOffset + byteLength;
    if (byteOffset < progress.end) this.#reportOverlap(progress, index);
    else addGap(progress, byteOffset);
    this.byteLength += Math.max(0, end - Math.max(byteOffset, progress.end));
    if (file !== this.#model && byteLength >= ALIGNED_FROM && byteOffset % PAGE !== 0) {
      const where = { tensor: this.#name(index), file: basename(file.path) };
      const message = `starts at byte ${byteOffset}, not at a multiple of ${PAGE}`;
      this.#findings.add('note', 'external-alignment', where, message, file.path);
    }
    if (end <= progress.end) return;
    progress.end = end;
    progress.furthest = index;
  }

  #name(index: number): string {
    return this.#nameOf(this.#ranges.name(index));
  }

  #reportOverlap({ file, end, furthest }: Progress, index: number): void {
    const { byteOffset, byteLength } = this.#ranges.range(index);
    const until = Math.min(end, byteOffset + byteLength);
    const where = { tensor: this.#name(index), file: basename(file.path) };
    const message = `shares bytes ${byteOffset} to ${until} with ${quoted(this.#name(furthest))}, but not all`;
    this.#findings.add('warning', 'external-overlap', where, message);
  }

  #finish(progress: Progress | undefined): void {
    if (progress === undefined || progress.file === this.#model) return;
    const { file } = progress;
    addGap(progress, file.byteLength);
    const { unused, largestGap } = progress;
    // Up to a page it may be padding.
    if (largestGap < PAGE) return;
    const where = { file: basename(file.path) };
    const message = `${unused} of ${file.byteLength} bytes belong to no tensor`;
    this.#findings.add('note', 'external-unused', where, message);
  }
}

/** Counts the bytes from where the ranges reach so far. */
function addGap(progress: Progress, until: number): void {
  const gap = until - progress.end;
  progress.unused += gap;
  progress.largestGap = Math.max(progress.largestGap, gap);
}

/**
 * Reports ranges that overlap in part, lie badly, or leave bytes unused. Equal ranges are fine: that is how tensors
 * share bytes.
 * @param model the `.onnx`, where bytes outside of ranges are the graph
 * @param nameOf the name with this number
 * @param dataStart where data begins in a file that has something else before it
 */
export function checkRanges(
  ranges: TensorRanges,
  model: SourceFile,
  nameOf: (id: number) => string,
  findings: Findings,
  dataStart: (file: SourceFile) => number = () => 0,
): RangeSums {
  const { aliases, byteLength } = new RangeCheck(ranges, model, nameOf, findings, dataStart);
  return { aliases, byteLength };
}
