/**
 * What a kernel is: a name, the shapes of what it makes, and pure arithmetic on one tile. The native twins have the
 * same ids and the same results, bit for bit.
 */

import type { DTypeCode } from '../dtypes.ts';

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

/** Parameters of `quantize-rtn`: see native/kernels/kernels.h for the layout of the outputs. */
export interface QuantizeParameters {
  readonly type: FloatTypeCode;
  readonly bits: 4 | 8;
  readonly blockSize: 16 | 32 | 64 | 128 | 256;
  readonly symmetric: boolean;
  readonly layout: WeightLayout;
  /** Output channels. */
  readonly n: number;
  /** Elements per channel. */
  readonly k: number;
}
