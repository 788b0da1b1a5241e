/** The `external_data` entries of a TensorProto: which file, from which byte, how many bytes. Pure. */

import { DType, type DTypeCode } from '../dtypes.ts';
import { FormatError } from '../errors.ts';

/** One `StringStringEntryProto`. */
export interface ExternalEntry {
  readonly key: string;
  readonly value: string;
}

/** What the entries say, checked one by one; whether the file exists and is long enough is not known here. */
export interface ExternalReference {
  /** As written. Untrusted until `openLocation` has contained it. */
  readonly location: string;
  readonly byteOffset: number;
  /** `undefined` when the entries leave it to dtype and shape: no `length`, or `0`, which every loader reads so. */
  readonly byteLength: number | undefined;
  /**
   * Keys ONNX Runtime refuses to load ("model format error"), `basepath` among them, in order of appearance and
   * once each. They carry nothing a reader needs; a caller warns and does not write them.
   */
  readonly unknownKeys: readonly string[];
}

/** TensorProto.DataType.UNDEFINED */
const UNDEFINED: DTypeCode = 0;

/** Keys that loaders know and that do not survive moving the bytes: a whole-file SHA-1, machine-specific packings. */
const DROPPED_KEY = /^(?:checksum|prepacked.*)$/s;

const LONGEST_QUOTE = 120;

/**
 * `text` from a file, in double quotes with control characters escaped and long text cut in the middle, so that a
 * message stays one readable line whatever a model contains.
 */
export function quoted(text: string): string {
  const half = LONGEST_QUOTE / 2;
  const short =
    text.length <= LONGEST_QUOTE
      ? text
      : `${text.slice(0, half)}…${text.slice(text.length - half)}`;
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (character) => {
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
    },
  );
}

function refuse(tensorName: string, problem: string, details: object): FormatError {
  return new FormatError('ERR_EXTERNAL_DATA', `tensor ${quoted(tensorName)}: ${problem}`, {
    details: { tensor: tensorName, ...details },
  });
}

/**
 * Bytes of a decimal value. ONNX Runtime takes digits only, while Python's `int()` would take `+4` or ` 4`; the
 * stricter reading holds, since a file accepted here should load there.
 */
function parseByteCount({ key, value }: ExternalEntry, tensorName: string): number {
  const bytes = /^[0-9]+$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    const problem = `external data ${key} is ${quoted(value)}, not a decimal number below 2^53`;
    throw refuse(tensorName, problem, { key, value });
  }
  return bytes;
}

/**
 * Reads the `external_data` entries of a tensor. A repeated `offset` or `length` counts last, as in every loader;
 * a repeated `location` is refused, as in ONNX Runtime.
 *
 * Throws a {@link FormatError} `ERR_EXTERNAL_DATA` that names tensor, key and value.
 */
export function parseExternalReference(
  entries: readonly ExternalEntry[],
  tensorName: string,
): ExternalReference {
  let location: string | undefined;
  let byteOffset = 0;
  let byteLength: number | undefined;
  const unknownKeys = new Set<string>();
  for (const entry of entries) {
    if (entry.key === 'location') {
      if (location !== undefined) {
        const problem = `external data has two locations, ${quoted(location)} and ${quoted(entry.value)}`;
        throw refuse(tensorName, problem, { key: 'location', value: entry.value });
      }
      location = entry.value;
    } else if (entry.key === 'offset') {
      byteOffset = parseByteCount(entry, tensorName);
    } else if (entry.key === 'length') {
      byteLength = parseByteCount(entry, tensorName) || undefined;
    } else if (!DROPPED_KEY.test(entry.key)) {
      unknownKeys.add(entry.key);
    }
  }
  if (location === undefined) {
    throw refuse(tensorName, 'external data has no location', { key: 'location' });
  }
  return { location, byteOffset, byteLength, unknownKeys: [...unknownKeys] };
}

/**
 * Throws a {@link FormatError} `ERR_EXTERNAL_DATA` for an element type that has no bytes to point at: strings, which
 * the format keeps in protobuf fields, and none at all. Types newer than the dtype table pass.
 */
export function checkExternalType(dtype: DTypeCode, tensorName: string): void {
  if (dtype !== DType.STRING && dtype !== UNDEFINED) return;
  const what = dtype === DType.STRING ? 'strings' : 'values without an element type';
  throw refuse(tensorName, `external data of ${what}`, { dtype });
}

/** The only entries this library writes, in this order; plain decimal because ONNX Runtime reads nothing else. */
export function formatExternalReference(reference: {
  readonly location: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}): ExternalEntry[] {
  return [
    { key: 'location', value: reference.location },
    { key: 'offset', value: String(reference.byteOffset) },
    { key: 'length', value: String(reference.byteLength) },
  ];
}
