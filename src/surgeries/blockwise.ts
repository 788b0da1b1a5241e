/** What the quantizing surgeries share: options, obstacles, and the tensors of one quantized weight. Pure. */

import type { ConstantView } from '../anatomy/weight.ts';
import { DType, dtypeLabel } from '../dtypes.ts';
import {
  type FloatTypeCode,
  isOliveMethod,
  type QuantizeMethod,
  type QuantizeParameters,
  quantizedChannel,
  quantizeOutputs,
  type WeightLayout,
} from '../kernels/kernel.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { Tensor } from '../model/tensor.ts';
import type { FileRange } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';
import { choice, flag } from './options.ts';

/** Blocks that ONNX Runtime has kernels for on every processor. */
export const BLOCK_SIZES = [16, 32, 64, 128, 256] as const;

/** Options every quantizing surgery has. */
export const blockwiseOptions = {
  method: choice(['auto', 'rtn', 'search', 'k-quant'], {
    default: 'auto',
    help: 'scales from the extremes, for least error, or for least weighted error; auto: rtn at 8 bits, else search',
  }),
  blockSize: choice(BLOCK_SIZES, {
    default: 32,
    help: 'elements that share one scale',
  }),
  symmetric: flag({
    default: false,
    help: 'no zero points: smaller, less exact',
  }),
  compat: choice(['none', 'olive'], {
    default: 'none',
    help: 'olive: the bytes, shapes and names that passes of Olive give; auto is then rtn, for an 8-bit embedding QuantizeEmbeddingInt8',
  }),
} as const;

/** Stored weights that can be a quantizer's source. */
export interface QuantizableWeight {
  readonly range: FileRange;
  readonly type: FloatTypeCode;
}

export function isFloatType(dtype: number): dtype is FloatTypeCode {
  return dtype === DType.FLOAT || dtype === DType.FLOAT16 || dtype === DType.BFLOAT16;
}

/** The weight as a quantizer's source, or the reason why it cannot be one. */
export function quantizableWeight(view: ConstantView): QuantizableWeight | string {
  const { tensor } = view;
  if (!isFloatType(tensor.dtype)) {
    return `its weight is ${dtypeLabel(tensor.dtype)}, not fp32, fp16 or bf16`;
  }
  if (view.cast) return 'its weight passes through a Cast';
  if (tensor.data.kind === 'range') return { range: tensor.data, type: tensor.dtype };
  if (tensor.data.kind === 'inline') {
    return `its weight is too small to gain (${tensor.data.bytes.byteLength} bytes)`;
  }
  if (tensor.data.kind === 'derived') {
    return `its weight is being made in this run (${tensor.data.derivation.kernel}); quantize it in the next`;
  }
  return 'its weight is kept in typed protobuf fields';
}

/** The three (or two) tensors a quantizer makes of one weight, as initializers of the graph that holds the weight. */
export interface QuantizedValues {
  readonly codes: Value;
  readonly scales: Value;
  readonly zeroPoints: Value | undefined;
}

/** Codes in the shape an operator wants: 3-D for MatMulNBits, 2-D for GatherBlockQuantized. */
export type CodesShape = 'blocks' | 'flat';

function codesDims(parameters: QuantizeParameters, shape: CodesShape): number[] {
  const { n } = parameters;
  const { blocks, blobByteLength, codesByteLength } = quantizedChannel(parameters);
  return shape === 'blocks' ? [n, blocks, blobByteLength] : [n, codesByteLength];
}

function zeroPointsSuffix({ method }: QuantizeParameters): string {
  if (method === 'olive-int8') return '_zp';
  return isOliveMethod(method) ? '_zero_point' : '_zero_points';
}

/**
 * Creates constants `<name>_Q<bits>`, `<name>_scales`, `<name>_zero_points` (or as Olive calls them) for a quantized
 * `weight`, where the weight is: initializers, or in a function Constant nodes. No bytes are made now: the tensors are derivations of the weight's
 * file range.
 */
export function quantizedInitializers(
  model: Model,
  weight: { readonly source: Value; readonly range: FileRange },
  parameters: QuantizeParameters,
  shape: CodesShape,
): QuantizedValues {
  const outputs = quantizeOutputs(parameters);
  const derivation = model.derive({
    kernel: 'quantize',
    parameters,
    sources: [weight.range],
    outputs,
  });
  const { name } = weight.source;
  const create = (role: string, suffix: string, dims?: readonly number[]): Value | undefined => {
    const output = derivation.outputs.findIndex((spec) => spec.role === role);
    const spec = derivation.outputs[output];
    if (spec === undefined) return undefined;
    const tensor = Tensor.create(spec.dtype, dims ?? spec.dims, {
      kind: 'derived',
      derivation,
      output,
    });
    return model.createConstant(model.names.claim(`${name}${suffix}`), tensor, weight.source);
  };
  const codes = create('codes', `_Q${parameters.bits}`, codesDims(parameters, shape));
  const scales = create('scales', '_scales');
  if (codes === undefined || scales === undefined) throw new Error('a quantizer without outputs');
  return { codes, scales, zeroPoints: create('zeroPoints', zeroPointsSuffix(parameters)) };
}

/** Parameters of a weight's quantizer. */
export function quantizeParameters(
  weight: QuantizableWeight,
  shape: { readonly layout: WeightLayout; readonly n: number; readonly k: number },
  options: Pick<QuantizeParameters, 'bits' | 'blockSize' | 'symmetric'> & {
    readonly method: QuantizeMethod | 'auto';
  },
): QuantizeParameters {
  const best = options.bits === 8 ? 'rtn' : 'search';
  return {
    method: options.method === 'auto' ? best : options.method,
    type: weight.type,
    bits: options.bits,
    blockSize: options.blockSize,
    symmetric: options.symmetric,
    layout: shape.layout,
    n: shape.n,
    k: shape.k,
  };
}

/** What a user should know who asks for an accuracy level of MatMulNBits. */
export function accuracyWarnings(bits: number, accuracyLevel: number): string[] {
  if (bits !== 8 || accuracyLevel === 4) return [];
  return [
    `accuracy level ${accuracyLevel} at 8 bits: ONNX Runtime on CPU expands the whole weight to fp32 on every run`,
  ];
}

/** Why a quantized weight is stored as float as well; undefined when it is gone. */
export function floatRemainder(source: Value): string | undefined {
  const [reader, ...others] = source.consumers;
  if (reader !== undefined) {
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    return `"${source.name}" is stored as float as well: ${reader.label}${more} reads it`;
  }
  if (source.isGraphOutput) return `"${source.name}" is stored as float as well: it is an output`;
  if (!source.graph.initializers.has(source.name)) return undefined;
  return `"${source.name}" is stored as float as well: an annotation or training names it`;
}

/** Carries what a node says about itself (metadata, doc string, unknown fields) to the node that replaces it. */
export function inheritAnnotations(from: Node, to: Node): void {
  const { docString, metadataProps, $unknowns } = from.proto;
  if (docString) to.proto.docString = docString;
  if (metadataProps?.length) to.proto.metadataProps = metadataProps;
  if ($unknowns?.length) to.proto.$unknowns = $unknowns;
}
