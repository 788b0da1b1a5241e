/** The fields of a TensorProto that say where its value is. Reading and rewriting what is there decodes nothing. Pure. */

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

function entriesOf({ file, byteOffset, byteLength }: ExternalPlace): ExternalEntry[] {
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
export function refersTo(proto: onnx.ITensorProto, place: ExternalPlace): boolean {
  const header = tensorHeader(proto);
  if (header === undefined && proto.dataLocation !== EXTERNAL) return false;
  return areEqual(header?.externalData ?? proto.externalData ?? [], entriesOf(place));
}

/** Makes the value one that the message itself holds. */
export function clearReference(proto: onnx.ITensorProto): void {
  if (!isExternal(proto)) return;
  proto.dataLocation = null;
  proto.externalData = null;
}

/** Puts small bytes into the message. */
export function setInline(proto: onnx.ITensorProto, data: InlineData): void {
  // A value that is where it came from stays there, undecoded: its bytes are a view of the message's.
  const present = tensorHeader(proto)?.rawData();
  const { buffer, byteOffset, byteLength } = data.bytes;
  if (present?.buffer === buffer && present.byteOffset === byteOffset) {
    if (present.byteLength === byteLength) return;
  }
  clearReference(proto);
  if (proto.rawData !== data.bytes) proto.rawData = data.bytes;
}

/** Makes the value external data. */
export function setExternal(proto: onnx.ITensorProto, place: ExternalPlace): void {
  const entries = entriesOf(place);
  if (areEqual(tensorHeader(proto)?.externalData ?? [], entries)) return;
  proto.rawData = null;
  proto.floatData = null;
  proto.doubleData = null;
  proto.dataLocation = EXTERNAL;
  proto.externalData = entries;
}
