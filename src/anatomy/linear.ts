/** Matrix products with a constant right-hand side, float or quantized: the linear layers of a model. Pure. */

import { floatAttribute, intAttribute } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { type QuantizedTable, quantizedMatMul } from './quantized-table.ts';
import { type ConstantView, replaceableDefault, traceConstant } from './weight.ts';

/** `y = x · W` with a constant float W of K inputs and N outputs. */
export interface FloatLinear {
  readonly kind: 'float';
  readonly node: Node;
  readonly weight: ConstantView;
  /** `columns` when the stored tensor is [K, N], `rows` when it is [N, K]. */
  readonly layout: 'rows' | 'columns';
  readonly k: number;
  readonly n: number;
  /**
   * Set when the stored tensor has dimensions of 1 before those two, and the result has as many of them: what computes
   * with a weight of two dimensions has to be given this many after.
   */
  readonly resultRank: number | undefined;
}

/** `y = x · dequantize(W)`: a MatMulNBits node with constant inputs. */
export interface QuantizedLinear {
  readonly kind: 'quantized';
  readonly node: Node;
  readonly table: QuantizedTable;
  readonly k: number;
  readonly n: number;
}

export type Linear = FloatLinear | QuantizedLinear;

/** Why a MatMul or Gemm is not a linear layer this project can rewrite. */
export interface NotLinear {
  readonly kind: 'none';
  readonly reason: string;
  /** True when both sides are computed, as in attention scores: then it is no linear layer to begin with. */
  readonly isProduct: boolean;
}

function none(reason: string, isProduct = false): NotLinear {
  return { kind: 'none', reason, isProduct };
}

/** Why a Gemm is no plain product and sum; undefined when it is one. */
export function gemmObstacle(node: Node): string | undefined {
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  if (alpha !== 1) return `Gemm with alpha ${alpha}`;
  if (node.inputs[2] !== undefined && beta !== 1) return `Gemm with beta ${beta}`;
  if (intAttribute(node, 'transA', 0) !== 0) return 'Gemm with a transposed left-hand side';
  return undefined;
}

/** How many dimensions a value has, if that is known. */
function rankOf(value: Value | undefined): number | undefined {
  return value?.tensor?.dims.length ?? value?.info?.type?.tensorType?.shape?.dim?.length;
}

/**
 * What becomes of the dimensions of 1 that a weight has before its two: nothing where the input has as many, else the
 * result has them. A reason where that is not known.
 */
function resultRank(node: Node, weightRank: number): number | undefined | string {
  if (weightRank === 2) return undefined;
  const input = rankOf(node.inputs[0]);
  const output = rankOf(node.outputs[0]);
  if (input === 1) return `its weight has ${weightRank} dimensions, its input 1`;
  if (input !== undefined) return input < weightRank ? weightRank : undefined;
  if (output !== undefined && output >= weightRank) {
    return output === weightRank ? weightRank : undefined;
  }
  return `its weight has ${weightRank} dimensions, and how many its input has is not stated`;
}

/** Describes the linear layer of a MatMul, Gemm or MatMulNBits node; undefined for other operators. */
export function describeLinear(model: Model, node: Node): Linear | NotLinear | undefined {
  if (node.is('MatMulNBits', 'com.microsoft')) {
    const table = quantizedMatMul(model, node);
    if (table.kind === 'none') return none(table.reason);
    return { kind: 'quantized', node, table, k: table.k, n: table.n };
  }
  const isGemm = node.is('Gemm');
  if (!isGemm && !node.is('MatMul')) return undefined;
  const obstacle = isGemm ? gemmObstacle(node) : undefined;
  if (obstacle !== undefined) return none(obstacle);
  const weight = traceConstant(model, node.inputs[1]);
  if (weight === undefined) {
    const input = replaceableDefault(node.inputs[1]);
    return input === undefined
      ? none('its right-hand side is not a constant', true)
      : none(
          `its weight "${input.name}" is also an input of the graph, which a caller may replace`,
        );
  }
  const { dims } = weight.tensor;
  const [first, second] = dims.slice(-2);
  const isMatrix = dims.slice(0, -2).every((dim) => dim === 1);
  if (!isMatrix || first === undefined || second === undefined) {
    return none(`its weight has ${dims.length} dimensions, not 2`);
  }
  const rank = resultRank(node, dims.length);
  if (typeof rank === 'string') return none(rank);
  const transposedByGemm = isGemm && intAttribute(node, 'transB', 0) !== 0;
  const rows = weight.transposed !== transposedByGemm;
  return {
    kind: 'float',
    node,
    weight,
    layout: rows ? 'rows' : 'columns',
    k: rows ? second : first,
    n: rows ? first : second,
    resultRank: rank,
  };
}
