/**
 * The safetensors format: eight bytes with the length of a header, the header (JSON: a type, a shape and a place for
 * each name), then the bytes of the tensors, without holes and without overlaps. ONNX readers see an ordinary data file.
 * Facts: safetensors 0.8.0. Pure.
 */

import { type DTypeCode, dtypeInfo } from '../dtypes.ts';

/** The length of the header takes this, a little-endian number. */
export const PREFIX_BYTES = 8;
/** Longest header, padding included, that readers take. */
export const LONGEST_HEADER = 100_000_000;
/** The one name that is no tensor. */
export const METADATA_NAME = '__metadata__';

/** Where a header that this library wrote is told from a checkpoint's: only then may a program remove its file. */
const OWN_METADATA = `{"${METADATA_NAME}":{"format":"onnx"}`;

/** How a header describes a tensor; the bytes are at `begin` to `end` behind the header. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** Width in bits of each element type of the format. */
const BITS: ReadonlyMap<string, number> = new Map([
  ['BOOL', 8],
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['C64', 64],
  ['F64', 64],
  ['I64', 64],
  ['U64', 64],
]);

/** Types that have a name in the format, and whose bytes it describes as ONNX does. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['FLOAT', 'F32'],
  ['UINT8', 'U8'],
  ['INT8', 'I8'],
  ['UINT16', 'U16'],
  ['INT16', 'I16'],
  ['INT32', 'I32'],
  ['INT64', 'I64'],
  ['BOOL', 'BOOL'],
  ['FLOAT16', 'F16'],
  ['DOUBLE', 'F64'],
  ['UINT32', 'U32'],
  ['UINT64', 'U64'],
  ['COMPLEX64', 'C64'],
  ['BFLOAT16', 'BF16'],
  ['FLOAT8E4M3FN', 'F8_E4M3'],
  ['FLOAT8E5M2', 'F8_E5M2'],
  ['FLOAT8E8M0', 'F8_E8M0'],
]);

/** Types others may write by name. Here they go as bytes: the packing is not said, or most readers do not know them. */
const RARE_TYPES: ReadonlyMap<string, string> = new Map([
  ['FLOAT4E2M1', 'F4'],
  ['FLOAT6E2M3', 'F6_E2M3'],
  ['FLOAT6E3M2', 'F6_E3M2'],
  ['FLOAT8E4M3FNUZ', 'F8_E4M3FNUZ'],
  ['FLOAT8E5M2FNUZ', 'F8_E5M2FNUZ'],
]);

/** Type and shape of an entry. */
export type EntryType = Pick<SafetensorsEntry, 'dtype' | 'shape'>;

/** True for the name of a data file that is written, and looked at, as safetensors. */
export function isSafetensorsName(name: string): boolean {
  return /\.safetensors$/i.test(name);
}

/** Bits of an element of a type of the format, or undefined for one it does not have. */
export function entryBits(dtype: string): number | undefined {
  return BITS.get(dtype);
}

/** How an ONNX tensor of `byteLength` bytes is described: as it is, or as so many bytes where the format cannot. */
export function entryType(
  dtype: DTypeCode,
  dims: readonly number[],
  byteLength: number,
): EntryType {
  const known = TYPES.get(dtypeInfo(dtype)?.name ?? '');
  return known === undefined ? { dtype: 'U8', shape: [byteLength] } : { dtype: known, shape: dims };
}

/** Whether an entry of as many bytes describes an ONNX tensor: by its type and shape, or as bytes of any shape. */
export function describes(
  { dtype, shape }: EntryType,
  type: DTypeCode,
  dims: readonly number[],
): boolean {
  const name = dtypeInfo(type)?.name ?? '';
  const own = TYPES.get(name);
  if (own === undefined && dtype === 'U8') return true;
  return dtype === (own ?? RARE_TYPES.get(name)) && shape.join() === dims.join();
}

/** The text of an entry up to its offsets, with the comma before it. */
export function entryLabel(name: string, { dtype, shape }: EntryType): string {
  return `,${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join()}],"data_offsets":[`;
}

/** The rest of it. */
export function entryOffsets(begin: number, end: number): string {
  return `${begin},${end}]}`;
}

/** What headers of this library begin with; entries with their commas follow. */
export const HEADER_START = OWN_METADATA;
/** What they end with, before the padding. */
export const HEADER_END = '}';

/** The eight bytes before a header. */
export function headerPrefix(headerBytes: number): Uint8Array {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeBigUInt64LE(BigInt(headerBytes));
  return prefix;
}
