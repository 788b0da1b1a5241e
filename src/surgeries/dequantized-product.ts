/** Putting DequantizeLinear and MatMul where MatMulNBits stood. Pure. */

import type { QuantizedTable } from '../anatomy/quantized-table.ts';
import type { WeightLayout } from '../kernels/kernel.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { inheritAnnotations, type QuantizedValues } from './blockwise.ts';

/** Codes, scales and zero points as DequantizeLinear takes them, in blocks along K. */
export interface DequantizedTable {
  readonly table: Pick<QuantizedTable, 'bits' | 'blockSize'>;
  /** `columns`: [K, N], `rows`: [N, K]. */
  readonly layout: WeightLayout;
  readonly values: QuantizedValues;
}

/** Puts DequantizeLinear, Transpose where it is needed, MatMul and Add where MatMulNBits stood. */
export function replaceByDequantized(
  model: Model,
  node: Node,
  { table: { bits, blockSize }, layout, values }: DequantizedTable,
): void {
  const { graph } = node;
  const [activation, , , , , bias] = node.inputs;
  const [output] = node.outputs;
  if (output === undefined) throw new Error(`node "${node.label}" has no output`);
  const stem = node.name.replace(/_Q\d+$/, '');
  const nameOf = (suffix: string) => (stem === '' ? '' : model.names.claim(`${stem}${suffix}`));
  const { codes, scales, zeroPoints } = values;
  const dequantize = graph.createNode({
    opType: 'DequantizeLinear',
    name: nameOf(`_DQ_Q${bits}`),
    inputs: zeroPoints === undefined ? [codes, scales] : [codes, scales, zeroPoints],
    outputs: [model.names.claim(`${codes.name}_dequantized`)],
    attributes: {
      axis: { int: layout === 'columns' ? 0 : 1 },
      block_size: { int: blockSize },
    },
  });
  const nodes = [dequantize];
  if (layout === 'rows') {
    nodes.push(
      graph.createNode({
        opType: 'Transpose',
        name: nameOf(`_DQ_Q${bits}_transpose`),
        inputs: [dequantize.outputs[0]],
        outputs: [model.names.claim(`${codes.name}_transposed`)],
        attributes: { perm: { ints: [1, 0] } },
      }),
    );
  }
  const product = graph.createNode({
    opType: 'MatMul',
    name: nameOf(`_matmul_Q${bits}`),
    inputs: [activation, nodes.at(-1)?.outputs[0]],
    outputs: bias === undefined ? [output] : [model.names.claim(`${output.name}_product`)],
  });
  inheritAnnotations(node, product);
  nodes.push(product);
  if (bias !== undefined) {
    nodes.push(
      graph.createNode({
        opType: 'Add',
        name: nameOf(`_matmul_Q${bits}_bias`),
        inputs: [product.outputs[0], bias],
        outputs: [output],
      }),
    );
  }
  graph.replaceNode(node, ...nodes);
}
