/** Which bytes of its files a model refers to. Pure. */

import type { Tensor } from './tensor.ts';
import { rangeOf, type SourceFile } from './tensor-data.ts';

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Bytes of a file that tensors refer to. */
export interface ByteUse {
  /** What several tensors share counts once. */
  readonly distinct: number;
  /** The lengths of all references. */
  readonly referred: number;
}

function coveredBytes(spans: Span[]): number {
  let covered = 0;
  let end = 0;
  // Most files have their tensors in the order of the graph.
  const isInOrder = spans.every(({ start }, i) => i === 0 || start >= (spans[i - 1] as Span).start);
  for (const span of isInOrder ? spans : spans.sort((a, b) => a.start - b.start)) {
    covered += Math.max(0, span.end - Math.max(span.start, end));
    end = Math.max(end, span.end);
  }
  return covered;
}

/** Adds up the bytes that tensors refer to, by file. */
export class UsedBytes {
  readonly #spans = new Map<SourceFile, Span[]>();

  add({ data }: Tensor): void {
    const range = rangeOf(data);
    if (range === undefined) return;
    const { file, byteOffset, byteLength } = range;
    const list = this.#spans.get(file) ?? [];
    if (list.length === 0) this.#spans.set(file, list);
    list.push({ start: byteOffset, end: byteOffset + byteLength });
  }

  /** The sums. Files without any are left out. */
  byFile(): Map<SourceFile, ByteUse> {
    return new Map(
      [...this.#spans].map(([file, list]) => {
        const referred = list.reduce((sum, { start, end }) => sum + end - start, 0);
        return [file, { distinct: coveredBytes(list), referred }];
      }),
    );
  }
}
