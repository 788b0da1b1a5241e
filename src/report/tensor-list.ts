/** Every tensor of a model: what it is for, its type and size, and where its bytes are. Pure. */

import { basename } from 'node:path';
import type { Embedding } from '../anatomy/embedding.ts';
import { describeLinear, type Linear } from '../anatomy/linear.ts';
import { quantizedGather } from '../anatomy/quantized-table.ts';
import { dtypeLabel } from '../dtypes.ts';
import type { OpenedModel } from '../external-data/open-model.ts';
import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import { rangeOf } from '../model/tensor-data.ts';

/** What a tensor is for, as the anatomy of the model tells; `other` for norms, biases, shapes, and what it does not know. */
export type TensorKind =
  | 'embedding'
  | 'head'
  | 'embedding and head'
  | 'weight'
  | 'scales'
  | 'zero points'
  | 'other';

/** One tensor. */
export interface TensorListing {
  readonly name: string;
  readonly kind: TensorKind;
  readonly dtype: string;
  readonly dims: readonly number[];
  /** Undefined for strings and types of the future. */
  readonly byteLength: number | undefined;
  /** File that holds the bytes, and from which byte on; undefined for a value in fields of the graph. */
  readonly file: string | undefined;
  readonly byteOffset: number | undefined;
}

/** Tensors of one kind and type. */
export interface KindUse {
  readonly kind: TensorKind;
  readonly dtype: string;
  readonly tensors: number;
  readonly byteLength: number;
}

/** The tensors that a table or a linear layer is made of. */
function markParts(
  kinds: Map<Tensor, TensorKind>,
  part: Embedding | Linear,
  kind: TensorKind,
): void {
  const mark = (tensor: Tensor | undefined, as: TensorKind) => {
    if (tensor === undefined) return;
    const before = kinds.get(tensor);
    const isBoth = before === 'embedding' && as === 'head';
    kinds.set(tensor, isBoth ? 'embedding and head' : as);
  };
  if (part.kind === 'float') {
    mark('table' in part ? part.table.tensor : part.weight.tensor, kind);
    return;
  }
  mark(part.table.codes.tensor, kind);
  mark(part.table.scales.tensor, 'scales');
  mark(part.table.zeroPoints?.tensor, 'zero points');
}

function tensorKinds(
  model: Model,
  embedding: Embedding | undefined,
  head: Linear | undefined,
): Map<Tensor, TensorKind> {
  const kinds = new Map<Tensor, TensorKind>();
  for (const node of model.nodes()) {
    const linear = describeLinear(model, node);
    if (linear !== undefined && linear.kind !== 'none') markParts(kinds, linear, 'weight');
    if (!node.is('GatherBlockQuantized', 'com.microsoft')) continue;
    const table = quantizedGather(model, node);
    if (table.kind === 'none') continue;
    const { n: vocabSize, k: hiddenSize } = table;
    markParts(kinds, { kind: 'quantized', node, table, vocabSize, hiddenSize }, 'weight');
  }
  if (embedding !== undefined) markParts(kinds, embedding, 'embedding');
  if (head !== undefined) markParts(kinds, head, 'head');
  return kinds;
}

/** Lists every tensor in the order of the file; nothing is kept of those that were passed. */
export function* listTensors(
  { model }: OpenedModel,
  embedding: Embedding | undefined,
  head: Linear | undefined,
): Generator<TensorListing> {
  const kinds = tensorKinds(model, embedding, head);
  for (const { name, tensor } of model.tensors()) {
    const range = rangeOf(tensor.data);
    yield {
      name,
      kind: kinds.get(tensor) ?? 'other',
      dtype: dtypeLabel(tensor.dtype),
      dims: tensor.dims,
      byteLength: tensor.byteLength,
      file: range && basename(range.file.path),
      byteOffset: range?.byteOffset,
    };
  }
}

/** Sums by kind and type, those with most bytes first. */
export function kindUses(tensors: Iterable<TensorListing>): KindUse[] {
  const uses = new Map<string, { -readonly [field in keyof KindUse]: KindUse[field] }>();
  for (const { kind, dtype, byteLength } of tensors) {
    const key = `${kind}/${dtype}`;
    const use = uses.get(key) ?? { kind, dtype, tensors: 0, byteLength: 0 };
    if (use.tensors === 0) uses.set(key, use);
    use.tensors++;
    use.byteLength += byteLength ?? 0;
  }
  return [...uses.values()].sort((a, b) => b.byteLength - a.byteLength);
}
