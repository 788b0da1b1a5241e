/** Which values stay in the `.onnx`, and which go to data files. Pure. */

import { KIB } from '../bytes.ts';
import { DType } from '../dtypes.ts';
import type { NamedTensor, NumberedTensors } from '../model/initializers.ts';
import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import type { DerivedData, FileRange, InlineData } from '../model/tensor-data.ts';
import { INLINE_BELOW } from './layout.ts';
import type { DataFileOptions } from './placed-runs.ts';
import type { PayloadData, PayloadList, TensorPayload } from './runs.ts';

/** What becomes of a tensor's bytes, its place left open. */
export type Home =
  | { readonly kind: 'proto' }
  | { readonly kind: 'inline'; readonly data: InlineData }
  | { readonly kind: 'embedded'; readonly data: FileRange | DerivedData }
  | { readonly kind: 'external'; readonly data: PayloadData };

/** What shape inference of ONNX Runtime reads, and cannot where it is external: axes, shapes, scales, sizes. */
function isShapeLike(tensor: Tensor): boolean {
  if (tensor.dims.length > 1) return false;
  const isInteger = tensor.dtype === DType.INT64 || tensor.dtype === DType.INT32;
  return tensor.elementCount <= (isInteger ? KIB : 16);
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

/** The tensor with this number. Throws a RangeError when there is none. */
export function tensorAt(tensors: NumberedTensors, number: number): NamedTensor {
  const named = tensors.at(number);
  if (named === undefined) throw new RangeError(`no tensor ${number}`);
  return named;
}

/** A tensor and what becomes of its bytes. */
export class HomedTensor implements TensorPayload {
  readonly data: PayloadData;
  /** Type and shape. */
  readonly described: Tensor;
  readonly #named: NamedTensor;

  constructor(named: NamedTensor, data: PayloadData) {
    this.data = data;
    this.described = named.tensor;
    this.#named = named;
  }

  /** Made when it is asked for. */
  get tensor(): string {
    return this.#named.name;
  }
}

/** The tensor with this number and its bytes; undefined where there is none, or where they stay as they are. */
export function homedTensor(
  tensors: NumberedTensors,
  homeOf: (tensor: Tensor) => Home,
  number: number,
): HomedTensor | undefined {
  const named = number < 0 ? undefined : tensors.at(number);
  const home = named && homeOf(named.tensor);
  if (named === undefined || home === undefined || home.kind === 'proto') return undefined;
  return new HomedTensor(named, home.data);
}

/** So many are kept; of a million each is made anew whenever it is asked for. */
const KEPT_PAYLOADS = 4096;

/** Those of many tensors whose bytes go somewhere, in their order. Memory: 4 bytes each, and up to a megabyte. */
export class HomedPayloads implements PayloadList<HomedTensor> {
  readonly #tensors: NumberedTensors;
  readonly #homeOf: (tensor: Tensor) => Home;
  readonly #numbers: Int32Array;
  readonly #kept: HomedTensor[] = [];

  constructor(
    tensors: NumberedTensors,
    homeOf: (tensor: Tensor) => Home,
    isWanted: (home: Home) => boolean,
  ) {
    this.#tensors = tensors;
    this.#homeOf = homeOf;
    const numbers = new Int32Array(tensors.length);
    let count = 0;
    for (let number = 0; number < tensors.length; number++) {
      if (isWanted(homeOf(tensorAt(tensors, number).tensor))) numbers[count++] = number;
    }
    this.#numbers = numbers.slice(0, count);
  }

  get length(): number {
    return this.#numbers.length;
  }

  at(index: number): HomedTensor | undefined {
    const kept = this.#kept[index];
    if (kept !== undefined) return kept;
    const payload = homedTensor(this.#tensors, this.#homeOf, this.#numbers[index] ?? -1);
    if (payload !== undefined && this.length <= KEPT_PAYLOADS) this.#kept[index] = payload;
    return payload;
  }
}
