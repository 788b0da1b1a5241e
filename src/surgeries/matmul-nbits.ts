/** Putting a MatMulNBits node where a linear layer stood. Pure. */

import type { FloatLinear } from '../anatomy/linear.ts';
import { DType } from '../dtypes.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { Tensor } from '../model/tensor.ts';
import type { Value } from '../model/value.ts';
import { inheritAnnotations, type QuantizedValues } from './blockwise.ts';

/** MatMulNBits attributes beyond the table's geometry. */
interface ProductOptions {
  readonly accuracyLevel: number;
  /** What the name of the new node begins with; by default the name of the old one. */
  readonly stem?: string;
}

/** Inputs of MatMulNBits; optional ones are left off at the end and omitted in between. */
function productInputs(
  activation: Value | undefined,
  table: QuantizedValues,
  bias: Value | undefined,
): (Value | undefined)[] {
  const inputs = [activation, table.codes, table.scales];
  if (bias !== undefined) return [...inputs, table.zeroPoints, undefined, bias];
  return table.zeroPoints === undefined ? inputs : [...inputs, table.zeroPoints];
}

/** A value of int64 numbers that readers of `like` can read. */
function int64Constant(model: Model, name: string, numbers: readonly number[], like: Value): Value {
  const array = BigInt64Array.from(numbers, BigInt);
  const bytes = new Uint8Array(array.buffer);
  const tensor = Tensor.create(DType.INT64, [numbers.length], { kind: 'inline', bytes });
  return model.createConstant(model.names.claim(name), tensor, like);
}

/**
 * Replaces a linear layer's node by MatMulNBits over `table`, keeping its output values. What the node did beyond a
 * product goes on: a Gemm's bias is an Add, dimensions that a weight of more than two gave the result are an Expand.
 */
export function replaceByMatMulNBits(
  model: Model,
  linear: Pick<FloatLinear, 'node'> & Partial<Pick<FloatLinear, 'resultRank'>>,
  table: QuantizedValues,
  geometry: Pick<QuantizeParameters, 'bits' | 'n' | 'k'> & { readonly blockSize: number },
  options: ProductOptions,
): Node {
  const { node, resultRank } = linear;
  const { graph } = node;
  const output = node.outputs[0];
  if (output === undefined) throw new Error(`node "${node.label}" has no output`);
  const bias = node.is('Gemm') ? node.inputs[2] : undefined;
  const fusedBias = node.is('MatMulNBits', 'com.microsoft') ? node.inputs[5] : undefined;
  const stem = options.stem ?? node.name;
  const name = stem === '' ? '' : model.names.claim(`${stem}_Q${geometry.bits}`);
  const isLast = bias === undefined && resultRank === undefined;
  const product = graph.createNode({
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    name,
    inputs: productInputs(node.inputs[0], table, fusedBias),
    outputs: [isLast ? output : model.names.claim(`${output.name}_product`)],
    attributes: {
      K: { int: geometry.k },
      N: { int: geometry.n },
      bits: { int: geometry.bits },
      block_size: { int: geometry.blockSize },
      ...(options.accuracyLevel === 0 ? {} : { accuracy_level: { int: options.accuracyLevel } }),
    },
  });
  inheritAnnotations(node, product);
  const replacement = [product];
  const follow = (opType: string, role: string, operand: Value) => {
    const follower = graph.createNode({
      opType,
      name: name === '' ? '' : model.names.claim(`${name}_${role}`),
      inputs: [product.outputs[0], operand],
      outputs: [output],
    });
    replacement.push(follower);
  };
  if (bias !== undefined) follow('Add', 'bias', bias);
  if (resultRank !== undefined) {
    // Ones broadcast to anything: nothing changes but the number of dimensions.
    const ones = new Array<number>(resultRank).fill(1);
    follow('Expand', 'rank', int64Constant(model, `${output.name}_rank`, ones, table.codes));
  }
  graph.replaceNode(node, ...replacement);
  model.importOpset('com.microsoft', 1, graph);
  return product;
}
