/** Stored tensors with the same elements in another layout. */

import { DType } from '../dtypes.ts';
import {
  packedByteLength,
  type RelayoutParameters,
  relayoutOutputs,
  relayoutSourceLength,
} from '../kernels/kernel.ts';
import { relayoutFlat, relayoutTransposed } from '../kernels/relayout.ts';
import type { Model } from '../model/model.ts';
import { Tensor } from '../model/tensor.ts';
import { rangeOf } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';
import type { QuantizedValues } from './blockwise.ts';

/** The type of codes: by their bits and whether they have a sign. */
export function codeType(bits: 2 | 4 | 8, isSigned: boolean): number {
  const types = {
    2: [DType.UINT2, DType.INT2],
    4: [DType.UINT4, DType.INT4],
    8: [DType.UINT8, DType.INT8],
  } as const;
  return types[bits][isSigned ? 1 : 0];
}

/** True when the bytes stay as they are. */
function keepsBytes({ rows, columns, transposed, flip, bits }: RelayoutParameters): boolean {
  return !flip && (!transposed || (bits >= 8 && (rows === 1 || columns === 1)));
}

/** The whole of a small matrix, at once. */
function relaidBytes(parameters: RelayoutParameters, source: Uint8Array): Uint8Array {
  const [output] = relayoutOutputs(parameters);
  const target = new Uint8Array(output?.byteLength ?? 0);
  const { bits, rows, columns, transposed } = parameters;
  if (transposed) {
    const rowStride = packedByteLength(bits, columns);
    const columnStride = packedByteLength(bits, rows);
    relayoutTransposed(parameters, { source, rowStride, rows, columns, target, columnStride });
  } else {
    relayoutFlat(parameters, source, target);
  }
  return target;
}

/**
 * Describes `source` in another layout. No byte moves now: the result is the same bytes in another shape, or a
 * derivation of their file range. Returns the reason when it can be neither.
 */
function relaidTensor(
  model: Model,
  source: Tensor,
  parameters: RelayoutParameters,
  { dtype, dims }: Pick<Tensor, 'dtype' | 'dims'>,
): Tensor | string {
  const { data } = source;
  if (data.kind === 'proto') return 'kept in typed protobuf fields';
  if (source.byteLength !== relayoutSourceLength(parameters))
    return 'not as long as their shape says';
  if (keepsBytes(parameters)) return Tensor.create(dtype, dims, data);
  if (data.kind === 'derived') {
    return `being made in this run (${data.derivation.kernel}), to be turned in the next`;
  }
  const range = rangeOf(data);
  if (range === undefined) {
    const bytes = data.kind === 'inline' ? data.bytes : new Uint8Array(0);
    return Tensor.create(dtype, dims, { kind: 'inline', bytes: relaidBytes(parameters, bytes) });
  }
  const derivation = model.derive({
    kernel: 'relayout',
    parameters,
    sources: [range],
    outputs: relayoutOutputs(parameters),
  });
  return Tensor.create(dtype, dims, { kind: 'derived', derivation, output: 0 });
}

/** One tensor of a quantized weight, and what becomes of it. */
export interface RelaidPart {
  readonly role: string;
  readonly suffix: string;
  readonly source: Tensor;
  readonly parameters: RelayoutParameters;
  /** Of the result. */
  readonly dtype: number;
  readonly dims: readonly number[];
}

/**
 * Creates constants for codes, scales and, if there is a third part, zero points, beside the old `codes`; their
 * names are `stem` and the suffixes. All or none: returns the reason when one of them cannot be made.
 */
export function relaidValues(
  model: Model,
  codes: Value,
  stem: string,
  parts: readonly RelaidPart[],
): QuantizedValues | string {
  const tensors: Tensor[] = [];
  for (const { role, source, parameters, ...shape } of parts) {
    const tensor = relaidTensor(model, source, parameters, shape);
    if (typeof tensor === 'string') return `its ${role}: ${tensor}`;
    tensors.push(tensor);
  }
  const [first, second, zeroPoints] = tensors.map((tensor, index) =>
    model.createConstant(model.names.claim(`${stem}${parts[index]?.suffix ?? ''}`), tensor, codes),
  );
  if (first === undefined || second === undefined) throw new Error('a table without codes');
  return { codes: first, scales: second, zeroPoints };
}
