/** The fields of a TensorProto that say where its value is. Writing what is there already decodes nothing. Pure. */

import type { InlineData } from '../model/tensor-data.ts';
import { isExternal, tensorHeader } from '../proto/deferred.ts';
import { EXTERNAL } from '../proto/headers.ts';
import type { onnx } from '../proto/onnx.js';
import { type ExternalEntry, formatExternalReference } from './reference.ts';

/** A range of a data file as a TensorProto names it. */
export interface ExternalPlace {
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Makes the value one that the message itself holds. Returns whether it was elsewhere. */
export function clearReference(proto: onnx.ITensorProto): boolean {
  if (!isExternal(proto)) return false;
  proto.dataLocation = null;
  proto.externalData = null;
  return true;
}

/** Puts small bytes into the message. Returns whether they were elsewhere. */
export function setInline(proto: onnx.ITensorProto, data: InlineData): boolean {
  // A value that is where it came from stays there, undecoded: its bytes are a view of the message's.
  const present = tensorHeader(proto)?.rawData();
  const { buffer, byteOffset, byteLength } = data.bytes;
  if (present?.buffer === buffer && present.byteOffset === byteOffset) {
    if (present.byteLength === byteLength) return false;
  }
  const wasElsewhere = clearReference(proto);
  if (proto.rawData !== data.bytes) proto.rawData = data.bytes;
  return wasElsewhere;
}

/** Makes the value external data. Returns whether the message said something else. */
export function setExternal(proto: onnx.ITensorProto, place: ExternalPlace): boolean {
  const { file, byteOffset, byteLength } = place;
  const entries = formatExternalReference({ location: file, byteOffset, byteLength });
  const present = tensorHeader(proto)?.externalData;
  const isThere = (entry: ExternalEntry, index: number) =>
    present?.[index]?.key === entry.key && present[index]?.value === entry.value;
  if (present?.length === entries.length && entries.every(isThere)) return false;
  proto.rawData = null;
  proto.floatData = null;
  proto.doubleData = null;
  proto.dataLocation = EXTERNAL;
  proto.externalData = entries;
  return true;
}
