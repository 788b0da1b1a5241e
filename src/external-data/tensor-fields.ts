/** The fields of a TensorProto that say where its value is. Reading them decodes nothing. Pure. */

import type { Tensor } from '../model/tensor.ts';
import type { InlineData } from '../model/tensor-data.ts';
import { isExternal, isUntouched, tensorHeader } from '../proto/deferred.ts';
import { EXTERNAL } from '../proto/headers.ts';
import type { onnx } from '../proto/onnx.ts';
import { type ExternalEntry, formatExternalReference } from './reference.ts';

/** A range of a data file as a TensorProto names it. */
export interface ExternalPlace {
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** How a TensorProto refers to external data. */
export function entriesOf({ file, byteOffset, byteLength }: ExternalPlace): ExternalEntry[] {
  return formatExternalReference({ location: file, byteOffset, byteLength });
}

function areEqual(
  present: readonly onnx.IStringStringEntryProto[],
  entries: readonly ExternalEntry[],
): boolean {
  const isThere = ({ key, value }: ExternalEntry, index: number) =>
    present[index]?.key === key && present[index]?.value === value;
  return present.length === entries.length && entries.every(isThere);
}

/** Whether the value is external data at this place and the message says so as this library does. */
export function refersTo({ peeked, stated }: Tensor, place: ExternalPlace): boolean {
  if (stated?.isPlain === true && isUntouched(peeked)) {
    const { location, byteOffset, byteLength } = stated;
    const isThere = location === place.file && byteOffset === place.byteOffset;
    return isThere && (byteLength ?? 0) === place.byteLength;
  }
  const header = tensorHeader(peeked);
  // What has a header is not asked for its fields: that would decode it.
  if (header !== undefined) {
    return header.externalData !== undefined && areEqual(header.externalData, entriesOf(place));
  }
  if (peeked.dataLocation !== EXTERNAL) return false;
  return areEqual(peeked.externalData ?? [], entriesOf(place));
}

/** Whether the message can stay as it is, its value at this place. One that was decoded may hold other values besides. */
export function staysWith(tensor: Tensor, place: ExternalPlace): boolean {
  const { peeked, stated } = tensor;
  const isAsRead = stated === undefined ? tensorHeader(peeked) !== undefined : isUntouched(peeked);
  return isAsRead && refersTo(tensor, place);
}

/** Whether the message itself has these bytes as its value, so that it can stay as it is. */
export function holds(proto: onnx.ITensorProto, data: InlineData): boolean {
  if (isExternal(proto)) return false;
  const header = tensorHeader(proto);
  const present = header === undefined ? proto.rawData : header.rawData();
  const { buffer, byteOffset, byteLength } = data.bytes;
  return (
    present?.buffer === buffer &&
    present.byteOffset === byteOffset &&
    present.byteLength === byteLength
  );
}
