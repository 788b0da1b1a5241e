/** Collects the nodes, weights, inputs and outputs of a graph, in ONNX's words. Pure. */

import { onnx } from '../../dist/proto/onnx.js';

/** @typedef {import('./options.mjs').WeightType} WeightType */

/**
 * A floating-point initializer. `normal`: pseudo-random, mean 0; `norm`: pseudo-random around 1; `cosines` and
 * `sines`: a rotary cache, one row a position.
 * @typedef {object} Weight
 * @property {string} name
 * @property {readonly number[]} dims
 * @property {'normal' | 'norm' | 'cosines' | 'sines'} kind
 */

/** @typedef {number | { float: number } | readonly number[]} AttributeValue A number alone is an integer. */

const { AttributeType } = onnx.AttributeProto;
const { DataType } = onnx.TensorProto;

/** @type {Record<WeightType, number>} */
export const TENSOR_TYPE = {
  fp16: DataType.FLOAT16,
  fp32: DataType.FLOAT,
  bf16: DataType.BFLOAT16,
};

/**
 * @param {string} name
 * @param {AttributeValue} value
 * @returns {onnx.IAttributeProto}
 */
function attribute(name, value) {
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

/**
 * @param {string} name
 * @param {number} elemType
 * @param {readonly (number | string)[]} dims Names are symbolic dimensions.
 * @returns {onnx.IValueInfoProto}
 */
function valueInfo(name, elemType, dims) {
  const dim = dims.map((size) =>
    typeof size === 'number' ? { dimValue: size } : { dimParam: size },
  );
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

/** A graph under construction. */
export class GraphParts {
  /** @type {onnx.INodeProto[]} */
  nodes = [];
  /** @type {Weight[]} */
  weights = [];
  /** @type {onnx.ITensorProto[]} */
  constants = [];
  /** @type {onnx.IValueInfoProto[]} */
  inputs = [];
  /** @type {onnx.IValueInfoProto[]} */
  outputs = [];

  /** @param {WeightType} dtype Element type of weights, activations, cache and logits. */
  constructor(dtype) {
    this.dtype = dtype;
  }

  /**
   * @param {string} name
   * @param {readonly (number | string)[]} dims
   */
  idsInput(name, dims) {
    this.inputs.push(valueInfo(name, DataType.INT64, dims));
  }

  /**
   * @param {string} name
   * @param {readonly (number | string)[]} dims
   */
  floatInput(name, dims) {
    this.inputs.push(valueInfo(name, TENSOR_TYPE[this.dtype], dims));
  }

  /**
   * @param {string} name
   * @param {readonly (number | string)[]} dims
   */
  floatOutput(name, dims) {
    this.outputs.push(valueInfo(name, TENSOR_TYPE[this.dtype], dims));
  }

  /**
   * Declares a weight; returns its name.
   * @param {string} name
   * @param {readonly number[]} dims
   * @param {Weight['kind']} [kind]
   */
  weight(name, dims, kind = 'normal') {
    this.weights.push({ name, dims, kind });
    return name;
  }

  /**
   * Declares an inline int64 initializer; returns its name. A number alone is a scalar.
   * @param {string} name
   * @param {number | readonly number[]} value
   */
  integers(name, value) {
    const values = typeof value === 'number' ? [value] : value;
    const bytes = new Uint8Array(8 * values.length);
    const view = new DataView(bytes.buffer);
    for (const [index, entry] of values.entries()) view.setBigInt64(8 * index, BigInt(entry), true);
    const dims = typeof value === 'number' ? [] : [value.length];
    this.constants.push({ name, dims, dataType: DataType.INT64, rawData: bytes });
    return name;
  }

  /**
   * Adds a node; returns the name of its first output.
   * @param {string} opType `com.microsoft.X` for an operator of that domain.
   * @param {string} name
   * @param {readonly string[]} input
   * @param {readonly string[]} output
   * @param {Record<string, AttributeValue>} [attributes]
   */
  node(opType, name, input, output, attributes = {}) {
    const dot = opType.lastIndexOf('.');
    this.nodes.push({
      opType: opType.slice(dot + 1),
      domain: dot < 0 ? '' : opType.slice(0, dot),
      name,
      input: [...input],
      output: [...output],
      attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    });
    return output[0] ?? '';
  }
}
