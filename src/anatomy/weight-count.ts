/** How many weights a model has: what "bits per weight" divides by. Pure. */

import type { Model } from '../model/model.ts';
import type { TensorData } from '../model/tensor-data.ts';
import { describeLinear } from './linear.ts';
import { quantizedGather } from './quantized-table.ts';

const FLOAT_TYPES = new Set([1, 10, 11, 16, 17, 18, 19, 20, 23, 24, 27, 28]);

function identity(data: TensorData): unknown {
  if (data.kind === 'range') return `${data.file.fd}:${data.byteOffset}:${data.byteLength}`;
  return data.kind === 'derived' ? data.derivation : data;
}

/**
 * Counts the elements of distinct float tensors of two and more dimensions and of the tables of MatMulNBits and
 * GatherBlockQuantized. Bytes that two tensors share count once; scales are part of their table, not weights.
 */
export function countWeights(model: Model): number {
  const seen = new Set<unknown>();
  const notWeights = new Set<unknown>();
  let count = 0;
  for (const node of model.nodes()) {
    const table = node.is('GatherBlockQuantized', 'com.microsoft')
      ? quantizedGather(model, node)
      : node.is('MatMulNBits', 'com.microsoft')
        ? describeLinear(model, node)
        : undefined;
    const found = table?.kind === 'quantized' ? table.table : table;
    if (found?.kind !== 'table') continue;
    notWeights.add(found.scales.tensor);
    const codes = identity(found.codes.tensor.data);
    if (!seen.has(codes)) count += found.n * found.k;
    seen.add(codes);
  }
  for (const { tensor } of model.tensors()) {
    if (tensor.dims.length < 2 || !FLOAT_TYPES.has(tensor.dtype) || notWeights.has(tensor))
      continue;
    const data = identity(tensor.data);
    if (!seen.has(data)) count += tensor.elementCount;
    seen.add(data);
  }
  return count;
}
