/** Bytes of tensors that are in memory, whichever field of the message holds them. Pure. */

import { denseByteLength, dtypeInfo } from '../dtypes.ts';
import { longToBigInt } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Tensor } from './tensor.ts';

type Numbers = readonly number[];

/** `int32_data` holds every integer of up to 32 bits and the patterns of small floats; two int4 are one entry. */
function fromInt32Data(values: Numbers, bits: number): ArrayBufferView {
  if (bits === 32) return Int32Array.from(values);
  return bits === 16 ? Uint16Array.from(values) : Uint8Array.from(values);
}

function fromFields(proto: onnx.ITensorProto, bits: number): ArrayBufferView | undefined {
  const { floatData, doubleData, int32Data, int64Data, uint64Data } = proto;
  if (floatData?.length) return Float32Array.from(floatData);
  if (doubleData?.length) return Float64Array.from(doubleData);
  if (int32Data?.length) return fromInt32Data(int32Data, bits);
  if (int64Data?.length) return BigInt64Array.from(int64Data, longToBigInt);
  if (!uint64Data?.length) return undefined;
  const wide = BigUint64Array.from(uint64Data, longToBigInt);
  return bits === 32 ? Uint32Array.from(wide, Number) : wide;
}

/**
 * The value of a tensor as `raw_data` would hold it; undefined where it is in a file, still to be made, a string, or
 * incomplete. Memory: the value.
 */
export function bytesInMemory({ data, proto, dtype, dims }: Tensor): Uint8Array | undefined {
  if (data.kind === 'inline') return data.bytes;
  const byteLength = denseByteLength(dtype, dims, 'a tensor');
  if (data.kind !== 'proto' || byteLength === undefined) return undefined;
  if (byteLength === 0) return new Uint8Array(0);
  const view = fromFields(proto, dtypeInfo(dtype)?.bits ?? 0);
  if (view?.byteLength !== byteLength) return undefined;
  return new Uint8Array(view.buffer, view.byteOffset, byteLength);
}
