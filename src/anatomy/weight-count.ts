/** How many weights a model has: what "bits per weight" divides by. Pure. */

import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import type { TensorData } from '../model/tensor-data.ts';
import { describeLinear } from './linear.ts';
import { quantizedGather } from './quantized-table.ts';
import { constantTensor } from './weight.ts';

const FLOAT_TYPES = new Set([1, 10, 11, 16, 17, 18, 19, 20, 23, 24, 27, 28]);

function identity(data: TensorData): unknown {
  if (data.kind === 'range') return `${data.file.fd}:${data.byteOffset}:${data.byteLength}`;
  return data.kind === 'derived' ? data.derivation : data;
}

/**
 * Counts the elements of distinct float tensors of two and more dimensions and of the tables of MatMulNBits,
 * GatherBlockQuantized and DequantizeLinear. Bytes that two tensors share count once; scales are part of their table,
 * not weights.
 */
export class WeightCount {
  readonly #seen = new Set<unknown>();
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
    if (!this.#notWeights.has(tensor)) this.#add(tensor, tensor.elementCount);
  }

  get count(): number {
    return this.#count;
  }

  #add({ data }: Tensor, weights: number): void {
    const place = identity(data);
    if (!this.#seen.has(place)) this.#count += weights;
    this.#seen.add(place);
  }
}

/** How many weights a model has. */
export function countWeights(model: Model): number {
  const weights = new WeightCount(model);
  for (const { tensor } of model.tensors()) weights.add(tensor);
  return weights.count;
}
