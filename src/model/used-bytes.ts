/** Which bytes of its files a model refers to. Pure. */

import type { Model } from './model.ts';
import type { SourceFile } from './tensor-data.ts';

interface Span {
  readonly start: number;
  readonly end: number;
}

function coveredBytes(spans: Span[]): number {
  let covered = 0;
  let end = 0;
  for (const span of spans.sort((a, b) => a.start - b.start)) {
    covered += Math.max(0, span.end - Math.max(span.start, end));
    end = Math.max(end, span.end);
  }
  return covered;
}

/** Bytes that tensors refer to, by file; what several tensors share counts once. Files without any are left out. */
export function usedBytes(model: Model): Map<SourceFile, number> {
  const spans = new Map<SourceFile, Span[]>();
  for (const { tensor } of model.tensors()) {
    if (tensor.data.kind !== 'range') continue;
    const { file, byteOffset, byteLength } = tensor.data;
    const list = spans.get(file) ?? [];
    list.push({ start: byteOffset, end: byteOffset + byteLength });
    spans.set(file, list);
  }
  return new Map([...spans].map(([file, list]) => [file, coveredBytes(list)]));
}
