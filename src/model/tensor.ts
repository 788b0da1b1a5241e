/** A constant tensor of the graph: type, shape and a description of its bytes. Pure. */

import { type DTypeCode, denseByteLength, elementCount } from '../dtypes.ts';
import { FormatError } from '../errors.ts';
import type { StatedPlace } from '../proto/headers.ts';
import type { Messages } from '../proto/message-list.ts';
import type { onnx } from '../proto/onnx.ts';
import { inlineByteLength, type TensorData } from './tensor-data.ts';

const NOT_LISTED = -1;

/**
 * One TensorProto without its payload. `proto` carries everything the model room does not interpret (metadata,
 * doc string, unknown fields) and is written back with the fields below.
 */
export class Tensor {
  #proto: onnx.ITensorProto | Messages<onnx.ITensorProto>;
  /** Place of the message in its list, until something asks for it. */
  #index: number;
  readonly dtype: DTypeCode;
  readonly dims: readonly number[];
  readonly data: TensorData;
  /** Where the message of a file says that the value is, when that was read without decoding it. */
  readonly stated: StatedPlace | undefined;

  /**
   * @param proto the message, or a list with it
   * @param index its place in the list
   */
  constructor(
    proto: onnx.ITensorProto | Messages<onnx.ITensorProto>,
    dtype: DTypeCode,
    dims: readonly number[],
    data: TensorData,
    index = NOT_LISTED,
    stated: StatedPlace | undefined = undefined,
  ) {
    this.#proto = proto;
    this.#index = index;
    this.dtype = dtype;
    this.dims = dims;
    this.data = data;
    this.stated = stated;
  }

  get proto(): onnx.ITensorProto {
    if (this.#index !== NOT_LISTED) {
      this.#proto = (this.#proto as Messages<onnx.ITensorProto>).at(this.#index);
      this.#index = NOT_LISTED;
    }
    return this.#proto as onnx.ITensorProto;
  }

  /** The message for a look: one that is not made yet is not kept. */
  get peeked(): onnx.ITensorProto {
    if (this.#index === NOT_LISTED) return this.#proto as onnx.ITensorProto;
    return (this.#proto as Messages<onnx.ITensorProto>).peek(this.#index);
  }

  /** A tensor that did not come from a file. */
  static create(dtype: DTypeCode, dims: readonly number[], data: TensorData): Tensor {
    return new Tensor({}, dtype, dims, data);
  }

  /** Bytes of the value, or undefined for strings and for element types this version does not know. */
  get byteLength(): number | undefined {
    if (this.data.kind === 'inline') return inlineByteLength(this.data);
    if (this.data.kind === 'range') return this.data.byteLength;
    return denseByteLength(this.dtype, this.dims, 'a tensor');
  }

  get elementCount(): number {
    return elementCount(this.dims, 'a tensor');
  }
}

/**
 * Throws a {@link FormatError} unless `byteLength` is what type and shape ask for. Types without a fixed width, or
 * newer than the dtype table, cannot be checked and pass.
 */
export function checkTensorBytes(
  name: string,
  dtype: DTypeCode,
  dims: readonly number[],
  byteLength: number,
): void {
  const expected = denseByteLength(dtype, dims, `tensor "${name}"`);
  if (expected !== undefined && expected !== byteLength) {
    throw new FormatError(
      'ERR_TENSOR',
      `tensor "${name}": shape [${dims.join(', ')}] needs ${expected} bytes, the file holds ${byteLength}`,
      { details: { tensor: name, expected, byteLength } },
    );
  }
}
