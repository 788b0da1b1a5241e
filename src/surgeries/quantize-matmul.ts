/**
 * Quantize the weights of MatMul and Gemm nodes to blocks: each becomes a MatMulNBits node.
 *
 * Works on every graph of the model, bodies of functions included: their weights are Constant nodes and stay such. The
 * weight may be stored [K, N] or, behind a Transpose or a Gemm with transB, [N, K], with dimensions of 1 before; a bias
 * stays where it is, a Gemm's own bias becomes an Add. A weight read by several nodes is quantized and stored once for
 * each way they want it. Nodes that cannot be rewritten are declined with the reason.
 */

import { passedWeightReason } from '../anatomy/function-weights.ts';
import { describeLinear, type FloatLinear } from '../anatomy/linear.ts';
import { removeUnread } from '../model/liveness.ts';
import type { Value } from '../model/value.ts';
import {
  accuracyWarnings,
  blockwiseOptions,
  lossReason,
  quantizableWeight,
  quantizeParameters,
} from './blockwise.ts';
import { replaceByMatMulNBits } from './matmul-nbits.ts';
import { MIXED_RULES, MixedPrecision } from './mixed-precision.ts';
import { checkOliveOptions, OliveNames, oliveParameters } from './olive-compat.ts';
import { choice, selectors } from './options.ts';
import { NodeOverrides, overrides } from './overrides.ts';
import { QuantizedWeights } from './quantized-weights.ts';
import { NodeChoice } from './selectors.ts';
import { type Change, type Decline, defineSurgery } from './surgery.ts';

/** Smallest block, and so the smallest K, that every MatMulNBits kernel takes. */
const SMALLEST_K = 16;

function obstacle(linear: FloatLinear): string | undefined {
  if (linear.k < SMALLEST_K)
    return `it has ${linear.k} inputs, fewer than one block of ${SMALLEST_K}`;
  return undefined;
}

/** Options that may differ from node to node. */
const nodeOptions = {
  ...blockwiseOptions,
  bits: choice([2, 4, 8], { default: 4, help: 'bits per weight' }),
  accuracyLevel: choice([0, 1, 2, 3, 4], {
    default: 4,
    help: 'accuracy_level of MatMulNBits; 4 computes with int8 activations',
  }),
} as const;

export default defineSurgery({
  name: 'quantize-matmul',
  presets: {
    OnnxBlockWiseRtnQuantization: { method: 'rtn' },
    OnnxKQuantQuantization: { method: 'k-quant' },
  },
  summary: 'Quantize the weights of MatMul and Gemm to blocks (MatMulNBits)',
  options: {
    ...nodeOptions,
    include: selectors({
      help: 'only nodes that match: a glob on the name, or a role such as @head, @v, @down',
    }),
    exclude: selectors({ help: 'not the nodes that match' }),
    mixed: choice(MIXED_RULES, {
      default: 'none',
      help: '8 bits for some: the head; and value and down projections, or layers with linear attention',
    }),
    set: overrides(nodeOptions, {
      help: 'other options for the nodes that match, such as @down=bits:8,blockSize:64',
    }),
  },
  check: (options) => checkOliveOptions('product', options),
  async apply(model, options, gates) {
    const chosenNodes = new NodeChoice(model, options);
    const mixed = new MixedPrecision(model, options.mixed);
    const set = new NodeOverrides(model, options.set);
    const changes: Change[] = [];
    const tables = new QuantizedWeights(model);
    const weights = new Set<Value>();
    const declined: Decline[] = [];
    const accuracy = new Set<string>();
    const oliveNames = new OliveNames();
    for (const node of [...model.nodes()]) {
      const linear = describeLinear(model, node);
      if (linear === undefined) continue;
      // All are asked about every node, so that what matches none is known.
      const isChosen = chosenNodes.has(node) && linear.kind !== 'quantized';
      const chosen = { ...options, ...mixed.of(node), ...set.of(node, isChosen) };
      if (!isChosen) continue;
      const decline = (reason: string) => declined.push({ node: node.label, reason });
      if (linear.kind === 'none') {
        const reason = linear.isProduct ? passedWeightReason(model, node) : linear.reason;
        if (reason !== undefined) decline(reason);
        continue;
      }
      const weight = quantizableWeight(linear.weight);
      const reason = typeof weight === 'string' ? weight : obstacle(linear);
      if (typeof weight === 'string' || reason !== undefined) {
        decline(reason ?? '');
        continue;
      }
      const isOlive = chosen.compat === 'olive';
      const parameters = isOlive
        ? oliveParameters('product', weight, linear, chosen)
        : quantizeParameters(weight, linear, chosen);
      if (typeof parameters === 'string') {
        decline(parameters);
        continue;
      }
      const loss = await lossReason(gates, weight, parameters, chosen.minSnr);
      if (loss !== undefined) {
        decline(loss);
        continue;
      }
      if (isOlive) oliveNames.add(node, parameters);
      const { source } = linear.weight;
      const table = tables.table({ source, range: weight.range }, parameters);
      const [, input] = node.inputs;
      if (input !== undefined) weights.add(input);
      const { bits, n, k } = parameters;
      changes.push({ node: node.label, what: `${bits}-bit weight [${n}, ${k}]` });
      for (const warning of accuracyWarnings(bits, chosen.accuracyLevel)) accuracy.add(warning);
      replaceByMatMulNBits(model, linear, table, parameters, chosen);
    }
    removeUnread(model, weights);
    oliveNames.apply(model);
    const warnings = [...chosenNodes.warnings(), ...mixed.warnings, ...set.warnings(), ...accuracy];
    return { changes, declined, warnings, quantized: tables.sources };
  },
});
