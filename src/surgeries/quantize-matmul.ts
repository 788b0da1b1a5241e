/**
 * Quantize the weights of MatMul and Gemm nodes to blocks: each becomes a MatMulNBits node.
 *
 * Works on every graph of the model. The weight may be stored [K, N] or, behind a Transpose or a Gemm with transB,
 * [N, K]; a bias stays where it is, a Gemm's own bias becomes an Add. A weight read by several nodes is quantized and
 * stored once. Nodes that cannot be rewritten are declined with the reason.
 */

import { describeLinear, type FloatLinear } from '../anatomy/linear.ts';
import { removeUnread } from '../model/liveness.ts';
import type { Value } from '../model/value.ts';
import {
  accuracyWarnings,
  blockwiseOptions,
  type QuantizedValues,
  quantizableWeight,
  quantizedInitializers,
  quantizeParameters,
} from './blockwise.ts';
import { replaceByMatMulNBits } from './matmul-nbits.ts';
import { choice, selectors } from './options.ts';
import { NodeSelector } from './selectors.ts';
import { type Change, type Decline, defineSurgery } from './surgery.ts';

/** Smallest block, and so the smallest K, that every MatMulNBits kernel takes. */
const SMALLEST_K = 16;

function obstacle(linear: FloatLinear): string | undefined {
  if (linear.k < SMALLEST_K)
    return `it has ${linear.k} inputs, fewer than one block of ${SMALLEST_K}`;
  if (linear.node.graph.kind === 'function') {
    return 'it is in the body of a function, which has no initializers of its own';
  }
  return undefined;
}

export default defineSurgery({
  name: 'quantize-matmul',
  presets: {
    OnnxBlockWiseRtnQuantization: { method: 'rtn' },
    OnnxKQuantQuantization: { method: 'k-quant' },
  },
  summary: 'Quantize the weights of MatMul and Gemm to blocks (MatMulNBits)',
  options: {
    ...blockwiseOptions,
    bits: choice([2, 4, 8], { default: 4, help: 'bits per weight' }),
    accuracyLevel: choice([0, 1, 2, 3, 4], {
      default: 4,
      help: 'accuracy_level of MatMulNBits; 4 computes with int8 activations',
    }),
    include: selectors({ help: 'only nodes that match (glob on the name, or @head)' }),
    exclude: selectors({ help: 'not the nodes that match' }),
  },
  apply(model, options) {
    const include = new NodeSelector(model, options.include);
    const exclude = new NodeSelector(model, options.exclude);
    const changes: Change[] = [];
    const quantized = new Set<Value>();
    const weights = new Set<Value>();
    const declined: Decline[] = [];
    const warnings: string[] = [];
    const made = {
      rows: new Map<Value, QuantizedValues>(),
      columns: new Map<Value, QuantizedValues>(),
    };
    for (const node of [...model.nodes()]) {
      const linear = describeLinear(model, node);
      if (linear === undefined) continue;
      if (!include.isEmpty && !include.matches(node)) continue;
      if (exclude.matches(node) || linear.kind === 'quantized') continue;
      const decline = (reason: string) => declined.push({ node: node.label, reason });
      if (linear.kind === 'none') {
        if (!linear.isProduct) decline(linear.reason);
        continue;
      }
      const weight = quantizableWeight(linear.weight);
      const reason = typeof weight === 'string' ? weight : obstacle(linear);
      if (typeof weight === 'string' || reason !== undefined) {
        decline(reason ?? '');
        continue;
      }
      const parameters = quantizeParameters(weight, linear, options);
      const { source } = linear.weight;
      const table =
        made[linear.layout].get(source) ??
        quantizedInitializers(model, { source, range: weight.range }, parameters, 'blocks');
      made[linear.layout].set(source, table);
      const [, input] = node.inputs;
      if (input !== undefined) weights.add(input);
      quantized.add(source);
      const { bits, n, k } = parameters;
      changes.push({ node: node.label, what: `${bits}-bit weight [${n}, ${k}]` });
      replaceByMatMulNBits(model, node, table, parameters, options);
    }
    removeUnread(model, weights);
    warnings.push(...include.warnings('include'), ...exclude.warnings('exclude'));
    if (changes.length > 0) warnings.push(...accuracyWarnings(options.bits, options.accuracyLevel));
    return { changes, declined, warnings, quantized: [...quantized] };
  },
});
