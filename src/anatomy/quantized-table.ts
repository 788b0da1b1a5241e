/** The blockwise-quantized constants of MatMulNBits and GatherBlockQuantized, in one shape. Pure. */

import { ceilDiv } from '../bytes.ts';
import { DType } from '../dtypes.ts';
import { intAttribute, readInts } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Tensor } from '../model/tensor.ts';
import type { Value } from '../model/value.ts';
import { constantTensor } from './weight.ts';

/** One constant input of a quantized operator. */
export interface TableInput {
  readonly value: Value;
  readonly tensor: Tensor;
}

/**
 * N rows of K elements in blocks along K: codes [N, kBlocks, blockSize * bits / 8] (or the same bytes in 2-D),
 * scales [N, kBlocks], zero points [N, ceil(kBlocks * bits / 8)] packed, or absent for 2^(bits-1).
 */
export interface QuantizedTable {
  readonly kind: 'table';
  readonly bits: number;
  readonly blockSize: number;
  readonly n: number;
  readonly k: number;
  readonly codes: TableInput;
  readonly scales: TableInput;
  readonly zeroPoints: TableInput | undefined;
  /** The Reshape between the stored codes and the operator, in models that share a table through one. */
  readonly reshape: Node | undefined;
}

export interface NoTable {
  readonly kind: 'none';
  readonly reason: string;
}

function none(reason: string): NoTable {
  return { kind: 'none', reason };
}

function constantInput(model: Model, value: Value | undefined): TableInput | undefined {
  const tensor = constantTensor(model, value);
  return value !== undefined && tensor !== undefined ? { value, tensor } : undefined;
}

/** Codes as stored, looking through one Reshape to a constant shape (Olive's and genai's shared tables). */
function codesInput(
  model: Model,
  value: Value | undefined,
): { readonly input: TableInput; readonly reshape: Node | undefined } | undefined {
  const direct = constantInput(model, value);
  if (direct !== undefined) return { input: direct, reshape: undefined };
  const node = value?.producer;
  if (node === undefined || !node.is('Reshape')) return undefined;
  const shape = constantTensor(model, node.inputs[1]);
  const stored = constantInput(model, node.inputs[0]);
  if (stored === undefined || shape === undefined || readInts(shape) === undefined)
    return undefined;
  return { input: stored, reshape: node };
}

interface Geometry {
  readonly bits: number;
  readonly blockSize: number;
  readonly n: number;
  readonly k: number;
}

function tableOf(
  model: Model,
  geometry: Geometry,
  inputs: readonly [
    codes: Value | undefined,
    scales: Value | undefined,
    zeroPoints: Value | undefined,
  ],
): QuantizedTable | NoTable {
  const codes = codesInput(model, inputs[0]);
  const scales = constantInput(model, inputs[1]);
  const zeroPoints = constantInput(model, inputs[2]);
  if (codes === undefined) return none('its codes are not a constant');
  if (scales === undefined) return none('its scales are not a constant');
  if (inputs[2] !== undefined && zeroPoints === undefined) {
    return none('its zero points are not a constant');
  }
  const { bits, blockSize, n, k } = geometry;
  const kBlocks = ceilDiv(k, blockSize);
  const packed = ceilDiv(kBlocks * bits, 8);
  if (codes.input.tensor.dtype !== DType.UINT8) return none('its codes are not uint8');
  if (codes.input.tensor.byteLength !== n * kBlocks * ((blockSize * bits) / 8)) {
    return none(`its codes are not [${n}, ${kBlocks}, ${(blockSize * bits) / 8}]`);
  }
  if (scales.tensor.elementCount !== n * kBlocks)
    return none(`its scales are not [${n}, ${kBlocks}]`);
  if (zeroPoints !== undefined && zeroPoints.tensor.dtype !== DType.UINT8) {
    return none('its zero points are not packed uint8');
  }
  if (zeroPoints !== undefined && zeroPoints.tensor.elementCount !== n * packed) {
    return none(`its zero points are not [${n}, ${packed}]`);
  }
  return {
    kind: 'table',
    ...geometry,
    codes: codes.input,
    scales,
    zeroPoints,
    reshape: codes.reshape,
  };
}

/** The table of a MatMulNBits node: attributes with ORT's defaults, `g_idx` not supported. */
export function quantizedMatMul(model: Model, node: Node): QuantizedTable | NoTable {
  if (node.inputs[4] !== undefined) return none('it reorders its weight by g_idx');
  if (intAttribute(node, 'weight_prepacked', 0) !== 0) {
    return none('its weight is packed for the kernels of one kind of GPU');
  }
  const geometry = {
    bits: intAttribute(node, 'bits', 4),
    blockSize: intAttribute(node, 'block_size', 0),
    n: intAttribute(node, 'N', 0),
    k: intAttribute(node, 'K', 0),
  };
  if (geometry.blockSize < 16 || geometry.n <= 0 || geometry.k <= 0) {
    return none('its attributes N, K and block_size are not all given');
  }
  return tableOf(model, geometry, [node.inputs[1], node.inputs[2], node.inputs[3]]);
}

/** The table of a GatherBlockQuantized node with uint8 codes gathered along axis 0; ORT's defaults for attributes. */
export function quantizedGather(model: Model, node: Node): QuantizedTable | NoTable {
  const bits = intAttribute(node, 'bits', 4);
  const blockSize = intAttribute(node, 'block_size', 128);
  if (intAttribute(node, 'gather_axis', 0) !== 0) return none('it does not gather along axis 0');
  if (blockSize < 16) return none(`it has blocks of ${blockSize}`);
  const scales = constantTensor(model, node.inputs[2]);
  if (scales === undefined) return none('its scales are not a constant');
  const [n, kBlocks] = scales.dims;
  if (scales.dims.length !== 2 || n === undefined || kBlocks === undefined) {
    return none(`its scales have ${scales.dims.length} dimensions, not 2`);
  }
  const quantizeAxis = intAttribute(node, 'quantize_axis', 1);
  if (quantizeAxis !== 1 && quantizeAxis !== -1) return none('it is not quantized along its rows');
  return tableOf(model, { bits, blockSize, n, k: kBlocks * blockSize }, [
    node.inputs[0],
    node.inputs[2],
    node.inputs[3],
  ]);
}
