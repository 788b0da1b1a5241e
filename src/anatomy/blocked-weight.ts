/** Constant weights in blocks behind DequantizeLinear, as a MatMul or Gemm reads them. Pure. */

import { DType } from '../dtypes.ts';
import { intAttribute } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { gemmObstacle } from './linear.ts';
import type { TableInput } from './quantized-table.ts';
import { constantTensor, isPlainTranspose } from './weight.ts';

/**
 * Codes of N outputs and K inputs, in blocks along K: `rows` as [N, K] with scales [N, K / blockSize], `columns` as
 * [K, N] with scales [K / blockSize, N]. Zero points have the type of the codes and the shape of the scales.
 */
export interface BlockedWeight {
  readonly kind: 'blocked';
  readonly node: Node;
  readonly layout: 'rows' | 'columns';
  readonly n: number;
  readonly k: number;
  readonly bits: 2 | 4 | 8;
  readonly isSigned: boolean;
  readonly blockSize: number;
  readonly codes: TableInput;
  readonly scales: TableInput;
  /** Undefined: 0. */
  readonly zeroPoints: TableInput | undefined;
}

/** Why the weight of a MatMul or Gemm behind DequantizeLinear is no such table. */
export interface NotBlocked {
  readonly kind: 'none';
  readonly reason: string;
}

/** Integer types by their numbers, and what a code of each is. */
const CODES: ReadonlyMap<number, { readonly bits: 2 | 4 | 8; readonly isSigned: boolean }> =
  new Map([
    [DType.UINT8, { bits: 8, isSigned: false }],
    [DType.INT8, { bits: 8, isSigned: true }],
    [DType.UINT4, { bits: 4, isSigned: false }],
    [DType.INT4, { bits: 4, isSigned: true }],
    [DType.UINT2, { bits: 2, isSigned: false }],
    [DType.INT2, { bits: 2, isSigned: true }],
  ]);

function none(reason: string): NotBlocked {
  return { kind: 'none', reason };
}

/** The DequantizeLinear behind the right-hand side of a product, and whether a Transpose is between them. */
function dequantizer(
  node: Node,
): { readonly node: Node; readonly transposed: boolean } | undefined {
  let transposed = false;
  let producer = node.inputs[1]?.producer;
  // A Transpose and an Identity; more are no exporter's work.
  for (let steps = 0; producer !== undefined && steps < 4; steps++) {
    if (producer.is('DequantizeLinear')) return { node: producer, transposed };
    if (producer.is('Transpose') && isPlainTranspose(producer, 2)) transposed = !transposed;
    else if (!producer.is('Identity')) return undefined;
    producer = producer.inputs[0]?.producer;
  }
  return undefined;
}

/**
 * Describes the weight of a MatMul or Gemm. Undefined where it does not come from a DequantizeLinear of a constant:
 * then there is nothing to say.
 */
export function describeBlocked(model: Model, node: Node): BlockedWeight | NotBlocked | undefined {
  const isGemm = node.is('Gemm');
  if (!isGemm && !node.is('MatMul')) return undefined;
  const found = dequantizer(node);
  if (found === undefined) return undefined;
  const input = (index: number): TableInput | undefined => {
    const value = found.node.inputs[index];
    const tensor = constantTensor(model, value);
    return value !== undefined && tensor !== undefined ? { value, tensor } : undefined;
  };
  const codes = input(0);
  const scales = input(1);
  const zeroPoints = input(2);
  if (codes === undefined) return undefined;
  const obstacle = isGemm ? gemmObstacle(node) : undefined;
  if (obstacle !== undefined) return none(obstacle);
  if (scales === undefined) return none('its scales are not a constant');
  if (found.node.inputs[2] !== undefined && zeroPoints === undefined) {
    return none('its zero points are not a constant');
  }
  const code = CODES.get(codes.tensor.dtype);
  const [first, second] = codes.tensor.dims;
  if (code === undefined || codes.tensor.dims.length !== 2 || !first || !second) {
    return none('its codes are no matrix of integers of 2, 4 or 8 bits');
  }
  const blockSize = intAttribute(found.node, 'block_size', 0);
  if (blockSize === 0) return none('its scales are not for blocks');
  const transposedByGemm = isGemm && intAttribute(node, 'transB', 0) !== 0;
  const isRows = found.transposed !== transposedByGemm;
  const axis = intAttribute(found.node, 'axis', 1);
  if ((axis < 0 ? axis + 2 : axis) !== (isRows ? 1 : 0)) {
    return none('its blocks do not lie along the inputs');
  }
  const [n, k] = isRows ? [first, second] : [second, first];
  if (k % blockSize !== 0) return none(`its ${k} inputs are not whole blocks of ${blockSize}`);
  const shape = isRows ? [n, k / blockSize] : [k / blockSize, n];
  if (scales.tensor.dims.join() !== shape.join()) {
    return none(`its scales are not [${shape.join(', ')}]`);
  }
  const made = intAttribute(found.node, 'output_dtype', 0);
  if (made !== 0 && made !== scales.tensor.dtype) {
    return none('it is dequantized to another type than that of its scales');
  }
  const zeroPointType = zeroPoints?.tensor.dtype ?? codes.tensor.dtype;
  const zeroPointDims = zeroPoints?.tensor.dims ?? shape;
  if (zeroPointType !== codes.tensor.dtype || zeroPointDims.join() !== shape.join()) {
    return none(`its zero points are not [${shape.join(', ')}] of the type of its codes`);
  }
  const layout = isRows ? 'rows' : 'columns';
  return { kind: 'blocked', node, layout, n, k, ...code, blockSize, codes, scales, zeroPoints };
}
