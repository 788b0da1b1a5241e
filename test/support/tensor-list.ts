/** What a model file holds, wherever it keeps it: to tell whether two files hold the same. */

import { createHash } from 'node:crypto';
import { openModel } from '../../src/external-data/open-model.ts';
import type { Tensor } from '../../src/model/tensor.ts';
import { tensorBytes } from './recipe-run.ts';

/** A tensor without the place of its bytes. */
export interface TensorContent {
  readonly name: string;
  readonly dtype: number;
  readonly dims: readonly number[];
  /** Digest of its bytes, or its numbers and strings where the message holds those. */
  readonly content: string;
}

function contentOf(tensor: Tensor): string {
  const { data, proto } = tensor;
  if (data.kind !== 'proto') {
    return createHash('sha256').update(tensorBytes(tensor)).digest('hex');
  }
  if (tensor.elementCount === 0) return createHash('sha256').digest('hex');
  const { floatData, int32Data, int64Data, doubleData, uint64Data, stringData } = proto;
  return JSON.stringify([floatData, int32Data, int64Data, doubleData, uint64Data, stringData]);
}

/** Every tensor of the model at `path`, in the order of the model. */
export function tensorContents(path: string): TensorContent[] {
  using opened = openModel(path);
  return [...opened.model.tensors()].map(({ name, tensor }) => ({
    name,
    dtype: tensor.dtype,
    dims: tensor.dims,
    content: contentOf(tensor),
  }));
}

/** Where a tensor's bytes are: the name of the file, the offset and the length; undefined inside the message. */
export type TensorPlace = readonly [location: string, byteOffset: number, byteLength: number];

/** Places of the tensors of the model at `path` that are in data files, by name. */
export function externalPlaces(path: string): Record<string, TensorPlace> {
  using opened = openModel(path);
  const places: Record<string, TensorPlace> = {};
  for (const { name, tensor } of opened.model.tensors()) {
    const range = tensor.data.kind === 'inline' ? tensor.data.range : tensor.data;
    if (range?.kind !== 'range') continue;
    const location = opened.locations.get(range.file);
    if (location === undefined) continue;
    places[name] = [location, range.byteOffset, range.byteLength];
  }
  return places;
}
