/**
 * Store float weights in another type: fp32, fp16 or bf16.
 *
 * A weight that the graph reads through Casts to the wanted type takes that type, and the Casts go. Any other becomes
 * narrower behind a Cast back to the type the graph computes in; what a Gather looks up in it is cast after the lookup,
 * so that nobody expands a table. Works on all graphs; a weight of several readers is stored and cast once. Narrowing
 * is measured first, which reads those weights a second time: how many elements become zero or subnormal is told, and
 * a weight with elements beyond the range of the type is declined with their number, or saturated where that is asked
 * for. Scales and zero points of quantized weights are left alone.
 */

import { formatSize, GIB, KIB } from '../bytes.ts';
import { DType, dtypeLabel } from '../dtypes.ts';
import { type CastLoss, isExactCast } from '../kernels/cast.ts';
import { floatByteLength } from '../kernels/float-types.ts';
import type { FloatTypeCode } from '../kernels/kernel.ts';
import { intAttribute } from '../model/attributes.ts';
import { namesHeldElsewhere } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import { type FileRange, rangeOf } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';
import { isFloatType } from './blockwise.ts';
import { type CastCandidate, CastRewrite, type Readers, readersOf } from './cast-rewrite.ts';
import { nameHolder } from './name-holder.ts';
import { byteSize, choice, selectors } from './options.ts';
import { NodeChoice } from './selectors.ts';
import { type Change, type Decline, defineSurgery, precondition } from './surgery.ts';

const NAME = 'cast-weights';

const TYPES: Readonly<Record<'float16' | 'bfloat16' | 'float32', FloatTypeCode>> = {
  float16: DType.FLOAT16,
  bfloat16: DType.BFLOAT16,
  float32: DType.FLOAT,
};

/** The first operator sets whose Cast has its type as a number, and knows bf16. */
const CAST_OPSET = 6;
const BFLOAT16_OPSET = 13;

/** Operators whose float constants are scales: ONNX Runtime wants those as they are. */
const QUANTIZED = new Set([
  ...['MatMulNBits', 'GatherBlockQuantized', 'QMoE', 'MatMulBnb4', 'MatMulIntegerToFloat'],
  ...['DequantizeLinear', 'QuantizeLinear', 'QLinearMatMul', 'QLinearConv'],
]);

/** Largest tensor that ONNX Runtime makes when it loads a model (constant_folding_max_output_size_in_bytes). */
const LARGEST_FOLDED = GIB;

function obstacle(
  value: Value,
  from: FloatTypeCode,
  to: FloatTypeCode,
  { lookups, others, otherCasts }: Readers,
): string | undefined {
  if (value.consumers.length === 0) return 'nothing reads it';
  const isNarrower = floatByteLength(to) < floatByteLength(from);
  const computes = [...lookups, ...others][0];
  if (computes !== undefined && !isNarrower) {
    return `${computes.label} computes in ${dtypeLabel(from)}: stored as ${dtypeLabel(to)} it would take no less`;
  }
  const cast = otherCasts.find((node) => intAttribute(node, 'to', 0) !== to);
  if (cast !== undefined && !isNarrower && !isExactCast({ from, to })) {
    return `${cast.label} casts it to a type that is not ${dtypeLabel(to)}`;
  }
  return undefined;
}

/** What is read of a tensor when the model is written, or the reason why it cannot be cast. */
function castSource({ data }: Tensor): FileRange | string {
  const range = rangeOf(data);
  if (range !== undefined) return range;
  if (data.kind === 'derived') {
    return `it is being made in this run (${data.derivation.kernel}); cast it in the next`;
  }
  return data.kind === 'proto'
    ? 'it is kept in typed protobuf fields'
    : 'its few bytes lie in the graph itself';
}

function share(count: number, total: number): string {
  return `${count} of ${total} elements`;
}

/** What a cast takes, in words; empty when nothing. */
function lossText({ zeroed, subnormal }: Pick<CastLoss, 'zeroed' | 'subnormal'>): string {
  const parts = [
    ...(zeroed > 0 ? [`${zeroed} elements become 0`] : []),
    ...(subnormal > 0 ? [`${subnormal} elements become subnormal`] : []),
  ];
  return parts.map((part) => `, ${part}`).join('');
}

/** Initializers of another float type, in all graphs, of at least `minSize` bytes. */
function* floatInitializers(model: Model, to: FloatTypeCode, minSize: number) {
  for (const graph of model.graphs()) {
    const wanted: string[] = [];
    for (const { name, tensor } of graph.initializers.tensors()) {
      const isLarge = (tensor.byteLength ?? 0) >= minSize;
      if (isFloatType(tensor.dtype) && tensor.dtype !== to && isLarge) wanted.push(name);
    }
    for (const name of wanted) {
      const value = graph.initializers.get(name);
      if (value?.tensor !== undefined) yield { value, tensor: value.tensor };
    }
  }
}

export default defineSurgery({
  name: NAME,
  summary: 'Store float weights as fp16, bf16 or fp32, behind a Cast where the graph wants another',
  options: {
    to: choice(['float16', 'bfloat16', 'float32'], { help: 'the type to store' }),
    overflow: choice(['decline', 'saturate'], {
      default: 'decline',
      help: 'weights with elements beyond the type: leave them, or store its largest number',
    }),
    minSize: byteSize({ default: KIB, help: 'leave smaller ones alone' }),
    include: selectors({ help: 'only weights that match (glob on their name or a reader, @head)' }),
    exclude: selectors({ help: 'not the weights that match' }),
  },
  requires(model, { to }) {
    const opset = model.opsetVersion('') ?? 0;
    const needed = to === 'bfloat16' ? BFLOAT16_OPSET : CAST_OPSET;
    if (opset >= needed) return;
    throw precondition(
      NAME,
      `Cast is what this needs from operator set ${needed} on, the model imports ${opset}`,
      'export the model with a newer operator set',
    );
  },
  async apply(model, options, gates) {
    const to = TYPES[options.to];
    const label = dtypeLabel(to);
    const chosenWeights = new NodeChoice(model, options);
    const held = namesHeldElsewhere(model);
    const changes: Change[] = [];
    const declined: Decline[] = [];
    const warnings: string[] = [];
    const candidates: CastCandidate[] = [];
    for (const { value, tensor } of floatInitializers(model, to, options.minSize)) {
      if (!isFloatType(tensor.dtype)) continue;
      if (value.consumers.some(({ opType }) => QUANTIZED.has(opType))) continue;
      if (!chosenWeights.hasValue(value)) continue;
      const readers = readersOf(value, to);
      const source = castSource(tensor);
      const reason = nameHolder(value, held) ?? obstacle(value, tensor.dtype, to, readers);
      if (reason !== undefined || typeof source === 'string') {
        const why = reason ?? (typeof source === 'string' ? source : '');
        declined.push({ node: value.name, reason: why });
      } else candidates.push({ value, tensor, from: tensor.dtype, range: source, readers });
    }
    const lossy = candidates.filter(({ from }) => !isExactCast({ from, to }));
    const measured = await gates.measureCasts(
      lossy.map(({ from, range, tensor }) => ({ from, to, range, count: tensor.elementCount })),
    );
    const losses = new Map(lossy.map((candidate, index) => [candidate, measured[index]]));
    const rewrite = new CastRewrite(model, to);
    const total = { zeroed: 0, subnormal: 0 };
    for (const candidate of candidates) {
      const { value, tensor, from, readers } = candidate;
      const loss = losses.get(candidate);
      const overflowed = loss?.overflowed ?? 0;
      const beyond = `${share(overflowed, tensor.elementCount)} are beyond ${label}, the largest of magnitude ${Number(loss?.peak.toPrecision(6))}`;
      if (overflowed > 0 && options.overflow === 'decline') {
        declined.push({ node: value.name, reason: `${beyond}; overflow=saturate stores them` });
        continue;
      }
      rewrite.store(candidate, overflowed > 0);
      const dims = tensor.dims.join(', ');
      changes.push({
        node: value.name,
        what: `${dtypeLabel(from)} is ${label} now [${dims}]${loss === undefined ? '' : lossText(loss)}`,
      });
      total.zeroed += loss?.zeroed ?? 0;
      total.subnormal += loss?.subnormal ?? 0;
      if (overflowed > 0) warnings.push(`"${value.name}": ${beyond}; they are saturated`);
      const expanded = tensor.elementCount * floatByteLength(from);
      if (readers.others.length > 0 && expanded > LARGEST_FOLDED) {
        warnings.push(
          `"${value.name}" takes ${formatSize(expanded)} as ${dtypeLabel(from)}, which ONNX Runtime makes of it on every run, not once`,
        );
      }
    }
    rewrite.finish();
    const sum = lossText(total);
    if (sum !== '') warnings.push(`of the weights that are ${label} now${sum}`);
    warnings.push(...chosenWeights.warnings());
    return { changes, declined, warnings };
  },
});
