/**
 * Rewrite MatMul and Gemm of a weight behind blocked DequantizeLinear as MatMulNBits.
 *
 * Nothing is rounded: codes, scales and zero points stand for the same numbers afterwards. Of what is stored [N, K]
 * no byte moves where codes have no sign; [K, N], which is what ONNX Runtime's quantizer writes, is turned around;
 * signed codes become unsigned ones with 2^(bits-1) as zero point. Works on the main graph and on bodies. Declined:
 * scales that are not for blocks along K, K that is not whole blocks, codes without sign and zero point, odd shapes
 * whose codes share bytes.
 */

import { type BlockedWeight, describeBlocked } from '../anatomy/blocked-weight.ts';
import { ceilDiv } from '../bytes.ts';
import { DType, dtypeLabel } from '../dtypes.ts';
import type { RelayoutParameters } from '../kernels/kernel.ts';
import { removeUnread } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import type { Value } from '../model/value.ts';
import { accuracyWarnings, BLOCK_SIZES, isFloatType, type QuantizedValues } from './blockwise.ts';
import { replaceByMatMulNBits } from './matmul-nbits.ts';
import { choice, selectors } from './options.ts';
import { type RelaidPart, relaidValues } from './relaid-tensor.ts';
import { NodeChoice } from './selectors.ts';
import { type Change, type Decline, defineSurgery } from './surgery.ts';

function obstacle({ bits, blockSize, isSigned, ...weight }: BlockedWeight): string | undefined {
  if (!BLOCK_SIZES.some((size) => size === blockSize)) {
    return `it has blocks of ${blockSize}; ONNX Runtime takes ${BLOCK_SIZES.join(', ')}`;
  }
  const { dtype } = weight.scales.tensor;
  if (!isFloatType(dtype)) return `its scales are ${dtypeLabel(dtype)}, not fp32, fp16 or bf16`;
  if (!isSigned && weight.zeroPoints === undefined) {
    return `its codes have neither sign nor zero point, and MatMulNBits would take ${2 ** (bits - 1)} for it`;
  }
  const { n, k, layout, zeroPoints } = weight;
  if (layout === 'columns' && (n * bits) % 8 !== 0) {
    return `its ${n} outputs do not fill whole bytes with codes of ${bits} bits`;
  }
  const kBlocks = k / blockSize;
  if (layout === 'rows' && zeroPoints !== undefined && n > 1 && (kBlocks * bits) % 8 !== 0) {
    return `its ${kBlocks} zero points of an output do not fill whole bytes`;
  }
  return undefined;
}

/** Codes, scales and zero points as MatMulNBits wants them. */
function partsOf(weight: BlockedWeight): RelaidPart[] {
  const { n, k, bits, blockSize, isSigned, layout, codes, scales, zeroPoints } = weight;
  const kBlocks = k / blockSize;
  const transposed = layout === 'columns';
  const relayout = (size: RelayoutParameters['bits'], perOutput: number, flip: boolean) => {
    const [rows, columns] = transposed ? [perOutput, n] : [n, perOutput];
    return { bits: size, rows, columns, transposed, flip };
  };
  const scaleType = scales.tensor.dtype;
  const parts: RelaidPart[] = [
    {
      role: 'codes',
      suffix: `_Q${bits}`,
      source: codes.tensor,
      parameters: relayout(bits, k, isSigned),
      dtype: DType.UINT8,
      dims: [n, kBlocks, (blockSize * bits) / 8],
    },
    {
      role: 'scales',
      suffix: '_scales',
      source: scales.tensor,
      parameters: relayout(scaleType === DType.FLOAT ? 32 : 16, kBlocks, false),
      dtype: scaleType,
      dims: [n, kBlocks],
    },
  ];
  if (zeroPoints !== undefined) {
    parts.push({
      role: 'zero points',
      suffix: '_zero_points',
      source: zeroPoints.tensor,
      parameters: relayout(bits, kBlocks, isSigned),
      dtype: DType.UINT8,
      dims: [n, ceilDiv(kBlocks * bits, 8)],
    });
  }
  return parts;
}

function tableValues(model: Model, weight: BlockedWeight): QuantizedValues | string {
  const { value } = weight.codes;
  return relaidValues(model, value, value.name.replace(/(_DQ)?_Q\d+$/, ''), partsOf(weight));
}

function isSameTable(a: BlockedWeight, b: BlockedWeight): boolean {
  return (
    a.codes.value === b.codes.value &&
    a.scales.value === b.scales.value &&
    a.zeroPoints?.value === b.zeroPoints?.value &&
    a.layout === b.layout &&
    a.blockSize === b.blockSize
  );
}

export default defineSurgery({
  name: 'qdq-to-matmul-nbits',
  summary: 'Rewrite blocked DequantizeLinear and MatMul as MatMulNBits',
  options: {
    accuracyLevel: choice([0, 1, 2, 3, 4], {
      default: 4,
      help: 'accuracy_level of MatMulNBits; 4 computes with int8 activations',
    }),
    include: selectors({ help: 'only nodes that match (glob on the name, or @head)' }),
    exclude: selectors({ help: 'not the nodes that match' }),
  },
  apply(model, options) {
    const chosenNodes = new NodeChoice(model, options);
    const changes: Change[] = [];
    const declined: Decline[] = [];
    const warnings = new Set<string>();
    const made: { readonly weight: BlockedWeight; readonly values: QuantizedValues | string }[] =
      [];
    const read = new Set<Value | undefined>();
    for (const node of [...model.nodesOf('MatMul', 'Gemm')]) {
      const weight = describeBlocked(model, node);
      if (weight === undefined) continue;
      if (!chosenNodes.has(node)) continue;
      const reason = weight.kind === 'none' ? weight.reason : obstacle(weight);
      if (weight.kind === 'none' || reason !== undefined) {
        declined.push({ node: node.label, reason: reason ?? '' });
        continue;
      }
      const known = made.find((one) => isSameTable(one.weight, weight));
      const values = known?.values ?? tableValues(model, weight);
      if (known === undefined) made.push({ weight, values });
      if (typeof values === 'string') {
        declined.push({ node: node.label, reason: values });
        continue;
      }
      const { bits, n, k } = weight;
      changes.push({ node: node.label, what: `MatMulNBits of ${bits} bits [${n}, ${k}]` });
      for (const warning of accuracyWarnings(bits, options.accuracyLevel)) warnings.add(warning);
      read.add(node.inputs[1]);
      const stem = node.name.replace(/_matmul_Q\d+$/, '');
      replaceByMatMulNBits(model, weight, values, weight, { ...options, stem });
    }
    removeUnread(model, read);
    return {
      changes,
      declined,
      warnings: [...chosenNodes.warnings(), ...warnings],
    };
  },
});
