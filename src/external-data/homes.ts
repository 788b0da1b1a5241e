/** Which values stay in the `.onnx`, and which go to data files. Pure. */

import { KIB } from '../bytes.ts';
import { DType } from '../dtypes.ts';
import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import type { DerivedData, FileRange, InlineData } from '../model/tensor-data.ts';
import { INLINE_BELOW } from './layout.ts';
import type { DataFileOptions } from './placed-runs.ts';
import type { PayloadData } from './runs.ts';

/** What becomes of a tensor's bytes, its place left open. */
export type Home =
  | { readonly kind: 'proto' }
  | { readonly kind: 'inline'; readonly data: InlineData }
  | { readonly kind: 'embedded'; readonly data: FileRange | DerivedData }
  | { readonly kind: 'external'; readonly data: PayloadData };

/** What shape inference of ONNX Runtime reads, and cannot where it is external: axes, shapes, scales, sizes. */
function isShapeLike({ dtype, dims, elementCount }: Tensor): boolean {
  const isInteger = dtype === DType.INT64 || dtype === DType.INT32;
  return dims.length <= 1 && elementCount <= (isInteger ? KIB : 16);
}

function rangeKey({ file, byteOffset, byteLength }: FileRange): string {
  return `${file.fd}:${byteOffset}:${byteLength}`;
}

/** Ranges of 1 KiB and more that several tensors refer to: they stay in data files, the only place to share them. */
function sharedRanges(model: Model): ReadonlySet<string> {
  const seen = new Set<string>();
  const shared = new Set<string>();
  for (const { tensor } of model.tensors()) {
    if (tensor.data.kind !== 'range') continue;
    const key = rangeKey(tensor.data);
    if (seen.has(key)) shared.add(key);
    seen.add(key);
  }
  return shared;
}

/** Chooses for each tensor whether it stays in the `.onnx`. */
export function homeChooser(
  model: Model,
  { dataNameOf, layout }: DataFileOptions,
): (tensor: Tensor) => Home {
  const embedsAll = dataNameOf === undefined;
  const inlineBelow = layout.inlineBelow ?? INLINE_BELOW;
  const shared = inlineBelow > INLINE_BELOW && !embedsAll ? sharedRanges(model) : undefined;
  const isSmall = (tensor: Tensor, byteLength: number) =>
    byteLength === 0 || byteLength < inlineBelow || isShapeLike(tensor);
  return (tensor) => {
    const { data } = tensor;
    if (data.kind === 'proto') return data;
    const byteLength = tensor.byteLength ?? 0;
    if (data.kind === 'inline') {
      const stays = embedsAll || isSmall(tensor, byteLength);
      return stays ? { kind: 'inline', data } : { kind: 'external', data: data.range ?? data };
    }
    // A derived tensor goes to the data file whatever its size: its siblings are made in the same place.
    const stays =
      embedsAll ||
      (data.kind === 'range' &&
        isSmall(tensor, byteLength) &&
        shared?.has(rangeKey(data)) !== true);
    return stays ? { kind: 'embedded', data } : { kind: 'external', data };
  };
}
