/** How many weights a model has: what "bits per weight" divides by. Pure. */

import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import type { FileRange, SourceFile, TensorData } from '../model/tensor-data.ts';
import { describeLinear } from './linear.ts';
import { quantizedGather } from './quantized-table.ts';
import { constantTensor } from './weight.ts';

const FLOAT_TYPES = new Set([1, 10, 11, 16, 17, 18, 19, 20, 23, 24, 27, 28]);

/**
 * Counts the elements of distinct float tensors of two and more dimensions and of the tables of MatMulNBits,
 * GatherBlockQuantized and DequantizeLinear. Bytes that two tensors share count once; scales are part of their table,
 * not weights.
 */
export class WeightCount {
  /** Derivations, and what tables have in memory. */
  readonly #seen = new Set<unknown>();
  /** Where ranges begin, and how long they are, by file. */
  readonly #ranges = new Map<SourceFile, Map<number, number>>();
  readonly #notWeights = new Set<Tensor>();
  #count = 0;

  /** Begins with the tables. Then every tensor of the model is to be added. */
  constructor(model: Model) {
    for (const node of model.nodesOf('GatherBlockQuantized', 'MatMulNBits')) {
      const table = node.is('GatherBlockQuantized', 'com.microsoft')
        ? quantizedGather(model, node)
        : node.is('MatMulNBits', 'com.microsoft')
          ? describeLinear(model, node)
          : undefined;
      const found = table?.kind === 'quantized' ? table.table : table;
      if (found?.kind !== 'table') continue;
      this.#notWeights.add(found.scales.tensor);
      this.#add(found.codes.tensor, found.n * found.k);
    }
    for (const node of model.nodesOf('DequantizeLinear')) {
      const codes = constantTensor(model, node.inputs[0]);
      const scales = constantTensor(model, node.inputs[1]);
      if (!node.is('DequantizeLinear') || codes === undefined || codes.dims.length < 2) continue;
      if (scales !== undefined) this.#notWeights.add(scales);
      this.#add(codes, codes.elementCount);
    }
  }

  add(tensor: Tensor): void {
    if (tensor.dims.length < 2 || !FLOAT_TYPES.has(tensor.dtype)) return;
    if (this.#notWeights.has(tensor)) return;
    // Nothing but a table shares what is in memory, and there may be a million of such values: none is remembered.
    if (tensor.data.kind !== 'inline') this.#add(tensor, tensor.elementCount);
    else if (!this.#seen.has(tensor.data)) this.#count += tensor.elementCount;
  }

  get count(): number {
    return this.#count;
  }

  #add({ data }: Tensor, weights: number): void {
    if (data.kind === 'range' ? this.#isNewRange(data) : this.#isNew(data)) this.#count += weights;
  }

  #isNew(data: TensorData): boolean {
    const identity = data.kind === 'derived' ? data.derivation : data;
    const isNew = !this.#seen.has(identity);
    if (isNew) this.#seen.add(identity);
    return isNew;
  }

  /** Ranges of other lengths that begin at one place are no sharing of tensors; the last is remembered. */
  #isNewRange({ file, byteOffset, byteLength }: FileRange): boolean {
    const lengths = this.#ranges.get(file) ?? new Map<number, number>();
    if (lengths.size === 0) this.#ranges.set(file, lengths);
    const isNew = lengths.get(byteOffset) !== byteLength;
    if (isNew) lengths.set(byteOffset, byteLength);
    return isNew;
  }
}

/** How many weights a model has. */
export function countWeights(model: Model): number {
  const weights = new WeightCount(model);
  for (const { tensor } of model.tensors()) weights.add(tensor);
  return weights.count;
}
