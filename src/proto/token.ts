/** Stand-ins for payloads that are not in memory: what the fields of a tensor hold in their place. */

import type { PayloadField } from './layout.ts';
import type { onnx } from './onnx.ts';
import { secretBytes } from './secret-bytes.ts';

const NONCE_BYTES = 16;
const PREFIX_BYTES = 8;

let prefix: Buffer | undefined;

/** The first half of every nonce: tells a token of this process from data without knowing which scan made it. */
export function tokenPrefix(): Buffer {
  prefix ??= randomNumbers();
  return prefix;
}

/** Eight random bytes that are finite, positive numbers however they are read: as two floats or as a double. */
function randomNumbers(): Buffer {
  const bytes = secretBytes(PREFIX_BYTES);
  for (const i of [3, 7]) bytes[i] = (bytes[i] as number) & 0x3f;
  return bytes;
}

/**
 * The tokens of one scan or one encoding. A token is a random nonce and a number: a file written before the nonce
 * was drawn cannot contain it. It has the type of the field it stands in (bytes, five floats or three doubles), so
 * decoding and encoding carry it like any other value.
 */
export class PayloadTokens {
  /** What the tokens begin with. */
  readonly nonce = Buffer.concat([tokenPrefix(), randomNumbers()]);

  /** The bytes of token `index` (0 to 2^30-1) as they stand in a serialized `field`. */
  bytes(field: PayloadField, index: number): Buffer {
    const token = Buffer.alloc(tokenByteLength(field));
    this.nonce.copy(token);
    token.writeUInt32LE(index, NONCE_BYTES);
    return token;
  }

  /** Number of the token that the serialized `field` consists of, or undefined. */
  index(field: PayloadField, bytes: Uint8Array): number | undefined {
    if (bytes.length !== tokenByteLength(field)) return undefined;
    const token = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (this.nonce.compare(token, 0, NONCE_BYTES) !== 0) return undefined;
    return token.readUInt32LE(NONCE_BYTES);
  }

  /** The field of `tensor` that holds a token, and its number. */
  find(tensor: onnx.ITensorProto): { field: PayloadField; index: number } | undefined {
    for (const [field, bytes] of candidates(tensor)) {
      const index = this.index(field, bytes);
      if (index !== undefined) return { field, index };
    }
    return undefined;
  }
}

function tokenByteLength(field: PayloadField): number {
  return field === 'double_data' ? NONCE_BYTES + 8 : NONCE_BYTES + 4;
}

/** Fields of `tensor` that may be tokens by their size, serialized. */
function* candidates(tensor: onnx.ITensorProto): Generator<[PayloadField, Uint8Array]> {
  const { rawData, floatData, doubleData } = tensor;
  if (rawData) yield ['raw_data', rawData];
  if (floatData?.length === 5) {
    yield ['float_data', new Uint8Array(Float32Array.from(floatData).buffer)];
  }
  if (doubleData?.length === 3) {
    yield ['double_data', new Uint8Array(Float64Array.from(doubleData).buffer)];
  }
}

/** True when `bytes`, the whole of a serialized `field`, are a token of any scan of this process. */
export function isToken(field: PayloadField, bytes: Uint8Array): boolean {
  return (
    bytes.length === tokenByteLength(field) && tokenPrefix().compare(bytes, 0, PREFIX_BYTES) === 0
  );
}
