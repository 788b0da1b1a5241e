/** Putting a GatherBlockQuantized node where rows of a table were looked up. Pure. */

import type { FloatEmbedding } from '../anatomy/embedding.ts';
import { traceConstant } from '../anatomy/weight.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import { intAttribute } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { inheritAnnotations, type QuantizedValues } from './blockwise.ts';

/** Said of tables that have to do without zero points: the default is not the same everywhere. */
export const NO_ZERO_POINTS =
  'the embedding has no zero points: ONNX Runtime before 1.30 takes 0 for them on CUDA, not the middle of the codes';

/** Puts GatherBlockQuantized over `table` where `node` looks up rows, keeping its output values. */
export function replaceByGatherBlockQuantized(
  model: Model,
  node: Node,
  table: QuantizedValues,
  blocks: Pick<QuantizeParameters, 'bits' | 'blockSize'> & Partial<QuantizeParameters>,
): Node {
  const { graph } = node;
  const name =
    blocks.method === 'olive-int8'
      ? node.name.replaceAll('Gather', 'GatherBlockQuantized')
      : `${node.name}_Q${blocks.bits}`;
  const replacement = graph.createNode({
    opType: 'GatherBlockQuantized',
    domain: 'com.microsoft',
    name: node.name === '' ? '' : model.names.claim(name),
    inputs: [
      table.codes,
      node.inputs[1],
      table.scales,
      ...(table.zeroPoints === undefined ? [] : [table.zeroPoints]),
    ],
    outputs: node.outputs.filter((output) => output !== undefined),
    attributes: {
      bits: { int: blocks.bits },
      block_size: { int: blocks.blockSize },
      gather_axis: { int: 0 },
      quantize_axis: { int: 1 },
    },
  });
  inheritAnnotations(node, replacement);
  graph.replaceNode(node, replacement);
  model.importOpset('com.microsoft', 1, graph);
  return replacement;
}

/** Every Gather along axis 0 that reads the same stored table the same way as `embedding`. */
export function lookupsOf(model: Model, embedding: FloatEmbedding): Node[] {
  const found: Node[] = [];
  for (const node of model.nodes()) {
    if (!node.is('Gather') || node === embedding.node) continue;
    const view = traceConstant(model, node.inputs[0]);
    const same =
      view?.source === embedding.table.source && view.transposed === embedding.table.transposed;
    if (same && !view.cast && intAttribute(node, 'axis', 0) === 0) found.push(node);
  }
  return [embedding.node, ...found];
}
