/** Which bytes of its files a model refers to. Pure. */

import type { Tensor } from './tensor.ts';
import { rangeOf, type SourceFile } from './tensor-data.ts';

/** Bytes of a file that tensors refer to. */
export interface ByteUse {
  /** What several tensors share counts once. */
  readonly distinct: number;
  /** The lengths of all references. */
  readonly referred: number;
}

/**
 * Starts and ends of ranges of one file, in turn. Numbers and not an object for each: a model may have a million
 * tensors.
 */
type Spans = number[];

function isInOrder(spans: Spans): boolean {
  for (let at = 2; at < spans.length; at += 2) {
    if ((spans[at] as number) < (spans[at - 2] as number)) return false;
  }
  return true;
}

function sorted(spans: Spans): Spans {
  const places = Array.from({ length: spans.length / 2 }, (_, index) => 2 * index);
  places.sort((a, b) => (spans[a] as number) - (spans[b] as number));
  return places.flatMap((at) => spans.slice(at, at + 2));
}

function byteUse(list: Spans): ByteUse {
  // Most files have their tensors in the order of the graph.
  const spans = isInOrder(list) ? list : sorted(list);
  let distinct = 0;
  let referred = 0;
  let covered = 0;
  for (let at = 0; at < spans.length; at += 2) {
    const start = spans[at] as number;
    const end = spans[at + 1] as number;
    referred += end - start;
    distinct += Math.max(0, end - Math.max(start, covered));
    covered = Math.max(end, covered);
  }
  return { distinct, referred };
}

/** Adds up the bytes that tensors refer to, by file. */
export class UsedBytes {
  readonly #spans = new Map<SourceFile, Spans>();

  add({ data }: Tensor): void {
    const range = rangeOf(data);
    if (range === undefined) return;
    const { file, byteOffset, byteLength } = range;
    const list = this.#spans.get(file) ?? [];
    if (list.length === 0) this.#spans.set(file, list);
    list.push(byteOffset, byteOffset + byteLength);
  }

  /** The sums. Files without any are left out. */
  byFile(): Map<SourceFile, ByteUse> {
    return new Map([...this.#spans].map(([file, list]) => [file, byteUse(list)]));
  }
}
