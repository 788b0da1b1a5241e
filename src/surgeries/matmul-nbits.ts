/** Putting a MatMulNBits node where a linear layer stood. Pure. */

import type { QuantizeParameters } from '../kernels/kernel.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
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

/** Replaces a linear layer's node by MatMulNBits over `table`, keeping its output values. */
export function replaceByMatMulNBits(
  model: Model,
  node: Node,
  table: QuantizedValues,
  geometry: Pick<QuantizeParameters, 'bits' | 'n' | 'k'> & { readonly blockSize: number },
  options: ProductOptions,
): Node {
  const { graph } = node;
  const output = node.outputs[0];
  if (output === undefined) throw new Error(`node "${node.label}" has no output`);
  const bias = node.is('Gemm') ? node.inputs[2] : undefined;
  const fusedBias = node.is('MatMulNBits', 'com.microsoft') ? node.inputs[5] : undefined;
  const stem = options.stem ?? node.name;
  const name = stem === '' ? '' : model.names.claim(`${stem}_Q${geometry.bits}`);
  const product = graph.createNode({
    opType: 'MatMulNBits',
    domain: 'com.microsoft',
    name,
    inputs: productInputs(node.inputs[0], table, fusedBias),
    outputs: bias === undefined ? [output] : [model.names.claim(`${output.name}_product`)],
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
  if (bias !== undefined) {
    replacement.push(
      graph.createNode({
        opType: 'Add',
        name: name === '' ? '' : model.names.claim(`${name}_bias`),
        inputs: [product.outputs[0], bias],
        outputs: [output],
      }),
    );
  }
  graph.replaceNode(node, ...replacement);
  model.importOpset('com.microsoft', 1);
  return product;
}
