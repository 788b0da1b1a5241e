/**
 * What a kernel is: a name, the shapes of what it makes, and pure arithmetic on one tile. The native twins have the
 * same ids and the same results, bit for bit.
 */

import { ceilDiv, multiplySizes } from '../bytes.ts';
import { DType, type DTypeCode, denseByteLength } from '../dtypes.ts';
import { UsageError } from '../errors.ts';

/** How a 2-D weight lies in its source: `rows` = [N, K] (a channel is contiguous), `columns` = [K, N]. */
export type WeightLayout = 'rows' | 'columns';

/** Source types of the quantizers: fp32, fp16, bf16 as ONNX numbers. */
export type FloatTypeCode = 1 | 10 | 16;

/** One output of a derivation. */
export interface OutputSpec {
  /** Role of the output: `codes`, `scales`, `zeroPoints`, or `data` for kernels with one output. */
  readonly role: 'codes' | 'scales' | 'zeroPoints' | 'data';
  readonly dtype: DTypeCode;
  readonly dims: readonly number[];
  readonly byteLength: number;
}

/**
 * How the scale and zero point of a block are chosen.
 * - `rtn`: from its extremes, in ONNX Runtime's own arithmetic
 * - `search`: the pair with the least squared error among candidates around that one
 * - `k-quant`: the same with elements weighted by rms + |x|
 */
export type QuantizeMethod = 'rtn' | 'search' | 'k-quant' | OliveMethod;

/**
 * What Olive's passes compute, bit for bit:
 * - `olive-rtn`: OnnxBlockWiseRtnQuantization of a MatMul: `rtn`, but in an odd channel's last byte at 4 bits the slot
 *   without an element repeats an older code
 * - `olive-gather`: OnnxBlockWiseRtnQuantization of a Gather
 * - `olive-k-quant`: OnnxKQuantQuantization; `olive-k-quant-single`: the same where NumPy adds in another order, that
 *   is where each of several channels is one block
 * - `olive-int8`: QuantizeEmbeddingInt8, 8 bits with zero points of 128
 */
export type OliveMethod = (typeof OLIVE_METHODS)[number];

export const OLIVE_METHODS = [
  'olive-rtn',
  'olive-gather',
  'olive-k-quant',
  'olive-k-quant-single',
  'olive-int8',
] as const;

/** True for the methods that are Olive's. */
export function isOliveMethod(method: QuantizeMethod): method is OliveMethod {
  return OLIVE_METHODS.some((known) => known === method);
}

const METHODS: readonly QuantizeMethod[] = ['rtn', 'search', 'k-quant', ...OLIVE_METHODS];

/** The methods as native/kernels/kernels.h numbers them. */
export const METHOD_NUMBERS = {
  rtn: 0,
  search: 1,
  'k-quant': 2,
  'olive-rtn': 3,
  'olive-gather': 4,
  'olive-k-quant': 5,
  'olive-k-quant-single': 6,
  'olive-int8': 7,
} as const satisfies Readonly<Record<QuantizeMethod, number>>;

/** Parameters of `quantize`: see native/kernels/kernels.h for the layout of the outputs. */
export interface QuantizeParameters {
  readonly method: QuantizeMethod;
  readonly type: FloatTypeCode;
  readonly bits: 2 | 4 | 8;
  readonly blockSize: 16 | 32 | 64 | 128 | 256;
  readonly symmetric: boolean;
  readonly layout: WeightLayout;
  /** Output channels. */
  readonly n: number;
  /** Elements per channel. */
  readonly k: number;
}

/** Sizes that follow from {@link QuantizeParameters}, per channel. */
export interface QuantizedChannel {
  /** Blocks of a channel: ceil(k / blockSize). */
  readonly blocks: number;
  /** Bytes of one block's codes. */
  readonly blobByteLength: number;
  readonly codesByteLength: number;
  readonly scalesByteLength: number;
  /** Bytes of a channel's packed zero points, whether or not they are stored. */
  readonly zeroPointsByteLength: number;
}

/**
 * How much one channel of a quantized weight takes. Codes fill whole blocks, but for `olive-gather`, whose last block
 * ends with its last element.
 */
export function quantizedChannel(
  parameters: Pick<QuantizeParameters, 'type' | 'bits' | 'blockSize' | 'k'> & {
    readonly method?: QuantizeMethod | undefined;
  },
): QuantizedChannel {
  const { method, type, bits, blockSize, k } = parameters;
  const blocks = ceilDiv(k, blockSize);
  const blobByteLength = (blockSize * bits) / 8;
  return {
    blocks,
    blobByteLength,
    codesByteLength: method === 'olive-gather' ? ceilDiv(k * bits, 8) : blocks * blobByteLength,
    scalesByteLength: blocks * (type === DType.FLOAT ? 4 : 2),
    zeroPointsByteLength: ceilDiv(blocks * bits, 8),
  };
}

/**
 * Outputs of `quantize`, in order: codes UINT8 [n, kBlocks, blob] (`olive-gather`: [n, ceil(k * bits / 8)]), scales
 * [n, kBlocks] in the source's type and, unless symmetric, zero points UINT8 [n, ceil(kBlocks * bits / 8)]; the last two
 * in one dimension where Olive has them so. Throws a {@link UsageError} for parameters that
 * no kernel takes, a FormatError when a size goes beyond 2^53-1.
 */
export function quantizeOutputs(parameters: QuantizeParameters): OutputSpec[] {
  checkQuantizeParameters(parameters);
  const { method, type, n, symmetric } = parameters;
  const { blocks, blobByteLength, codesByteLength, zeroPointsByteLength } =
    quantizedChannel(parameters);
  const codesDims = method === 'olive-gather' ? [n, codesByteLength] : [n, blocks, blobByteLength];
  const isFlat = isOliveMethod(method) && method !== 'olive-gather' && method !== 'olive-int8';
  const dims = (perChannel: number) => (isFlat ? [n * perChannel] : [n, perChannel]);
  const outputs = [output('codes', DType.UINT8, codesDims), output('scales', type, dims(blocks))];
  if (!symmetric) outputs.push(output('zeroPoints', DType.UINT8, dims(zeroPointsByteLength)));
  return outputs;
}

function output(role: OutputSpec['role'], dtype: DTypeCode, dims: readonly number[]): OutputSpec {
  const byteLength = denseByteLength(dtype, dims, `the ${role}`) ?? 0;
  return { role, dtype, dims, byteLength };
}

function checkQuantizeParameters(parameters: QuantizeParameters): void {
  const { method, type, bits, blockSize, n, k } = parameters;
  const refuse = (what: string, received: unknown, allowed: string): never => {
    throw new UsageError('ERR_OPTION', `${what} is ${received}`, { hint: `use ${allowed}` });
  };
  if (![1, 10, 16].includes(type)) refuse('the source type', type, 'fp32, fp16 or bf16');
  if (![2, 4, 8].includes(bits)) refuse('bits', bits, '2, 4 or 8');
  if (!METHODS.includes(method)) refuse('the method', method, METHODS.join(', '));
  checkOliveParameters(parameters, refuse);
  if (![16, 32, 64, 128, 256].includes(blockSize)) {
    refuse('the block size', blockSize, '16, 32, 64, 128 or 256');
  }
  for (const [what, value] of [
    ['the number of channels', n],
    ['the number of elements per channel', k],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1) refuse(what, value, 'a positive integer');
  }
  multiplySizes(n, k, 'the element count of the weight');
}

/**
 * Parameters of `cast`. Elements are rounded to nearest, ties to even; subnormals are kept. NaN becomes the quiet NaN
 * without sign and payload of the target (0x7e00, 0x7fc0, 0x7fc00000), infinity stays.
 */
export interface CastParameters {
  readonly from: FloatTypeCode;
  readonly to: FloatTypeCode;
  /** Finite elements beyond the target's range become its largest number, not infinity. */
  readonly saturate: boolean;
  /** Elements. */
  readonly count: number;
}

/** The one output of `cast`. Throws a FormatError when its size goes beyond 2^53-1. */
export function castOutputs({ to, count }: CastParameters): OutputSpec[] {
  return [output('data', to, [count])];
}

/**
 * Parameters of `relayout`: a matrix of packed elements, each row in whole bytes, low bits first. What a row's last
 * byte has left over is not read, and written as 2^(bits-1): the zero point that means nothing.
 */
export interface RelayoutParameters {
  readonly bits: 2 | 4 | 8 | 16 | 32;
  /** Of the source. */
  readonly rows: number;
  readonly columns: number;
  readonly transposed: boolean;
  /** Turns the top bit of each element over: unsigned codes become signed ones less 2^(bits-1), and back. */
  readonly flip: boolean;
}

/** Bytes of `count` elements side by side. */
export function packedByteLength(bits: RelayoutParameters['bits'], count: number): number {
  return ceilDiv(count * bits, 8);
}

/** Bytes of the source of `relayout`. Throws a FormatError when they go beyond 2^53-1. */
export function relayoutSourceLength({ bits, rows, columns }: RelayoutParameters): number {
  return multiplySizes(rows, packedByteLength(bits, columns), 'the byte length of a matrix');
}

/** The one output of `relayout`: rows of whole bytes. Throws a FormatError when its size goes beyond 2^53-1. */
export function relayoutOutputs(parameters: RelayoutParameters): OutputSpec[] {
  const { bits, rows, columns, transposed } = parameters;
  const [count, length] = transposed ? [columns, rows] : [rows, columns];
  return [output('data', DType.UINT8, [count, packedByteLength(bits, length)])];
}

/** Olive's methods have 4 or 8 bits, and two of them always zero points. */
function checkOliveParameters(
  { method, bits, symmetric }: QuantizeParameters,
  refuse: (what: string, received: unknown, allowed: string) => never,
): void {
  if (!isOliveMethod(method)) return;
  const isInt8 = method === 'olive-int8';
  if (bits === 2 || (isInt8 && bits !== 8)) {
    refuse(`bits of ${method}`, bits, isInt8 ? '8' : '4 or 8');
  }
  if (symmetric && method !== 'olive-rtn' && method !== 'olive-gather') {
    refuse(`symmetric of ${method}`, symmetric, 'false');
  }
}
