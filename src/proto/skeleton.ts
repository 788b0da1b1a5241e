/** The skeleton of a serialized model: the same message without its large tensor payloads. */

import { FormatError } from '../errors.ts';
import { loadNative } from '../native.ts';
import type { PayloadField } from './layout.ts';
import {
  DEPTH_LIMIT,
  FIELD_HEAP_BYTES,
  HEAP_BYTE_LIMIT,
  MESSAGE_HEAP_BYTES,
  PACKED_INT64_HEAP_BYTES,
  PACKED_NUMBER_HEAP_BYTES,
  PAYLOAD_THRESHOLD,
  SKELETON_BYTE_LIMIT,
} from './limits.ts';
import { PayloadTokens } from './token.ts';
import type { ModelVisitor } from './walk.ts';
import { LAYOUT, TENSOR, type WalkDepth, WHOLE_BELOW, walkModel } from './walk.ts';
import type { ByteReader } from './wire.ts';
import { varintByteLength, WireReader, writeVarint } from './wire.ts';

/** A run of tensor bytes in the file that was scanned: little-endian and packed, whichever field holds it. */
export interface Payload {
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly field: PayloadField;
}

/** A serialized model whose large payloads are replaced by tokens. */
export interface Skeleton {
  /** A valid ModelProto. Lengths of messages that lost a payload are varints padded to their former width. */
  readonly bytes: Uint8Array;
  /** What was left out, by token number; the order of the file. */
  readonly payloads: readonly Payload[];
  readonly tokens: PayloadTokens;
}

/** The length varint of an open message: where it is kept, how wide it is, and what the message said. */
interface OpenMessage {
  keptOffset: number;
  width: number;
  byteLength: number;
  /** Bytes left out before the message began. */
  savedBefore: number;
  /** Field left out of this tensor. */
  elided: PayloadField | undefined;
}

class Elision implements ModelVisitor {
  readonly payloads: Payload[] = [];
  readonly tokens = new PayloadTokens();
  merges = false;
  typedPayloads = false;
  readonly #reader: WireReader;
  readonly #elideTyped: boolean;
  readonly #open: OpenMessage[] = [];
  #depth = 0;
  #saved = 0;

  constructor(reader: WireReader, elideTyped: boolean) {
    this.#reader = reader;
    this.#elideTyped = elideTyped;
  }

  enter(lengthOffset: number, byteLength: number): void {
    const width = this.#reader.byteOffset - lengthOffset;
    const keptOffset = this.#reader.keptLength - width;
    const message = this.#open[this.#depth++];
    if (message === undefined) {
      const savedBefore = this.#saved;
      this.#open.push({ keptOffset, width, byteLength, savedBefore, elided: undefined });
      return;
    }
    message.keptOffset = keptOffset;
    message.width = width;
    message.byteLength = byteLength;
    message.savedBefore = this.#saved;
    message.elided = undefined;
  }

  leave(): void {
    const message = this.#open[--this.#depth] as OpenMessage;
    const saved = this.#saved - message.savedBefore;
    if (saved > 0) {
      this.#reader.patchLength(message.keptOffset, message.byteLength - saved, message.width);
    }
  }

  payload(field: PayloadField, lengthOffset: number, byteLength: number): boolean {
    if (byteLength < PAYLOAD_THRESHOLD) return false;
    if (field !== 'raw_data' && !this.#elideTyped) return false;
    // One field of a tensor is left out at most, so that a tensor has one payload. Of two raw_data the last counts.
    const tensor = this.#open[this.#depth - 1] as OpenMessage;
    if (tensor.elided !== undefined && (tensor.elided !== field || field !== 'raw_data'))
      return false;
    tensor.elided = field;
    const token = this.tokens.bytes(field, this.payloads.length);
    const standIn = new Uint8Array(varintByteLength(token.length) + token.length);
    writeVarint(standIn, 0, token.length, standIn.length - token.length);
    standIn.set(token, standIn.length - token.length);
    const byteOffset = this.#reader.byteOffset;
    this.#reader.replace(lengthOffset, byteLength, standIn);
    this.#saved += byteOffset + byteLength - lengthOffset - standIn.length;
    this.payloads.push({ byteOffset, byteLength, field });
    if (field !== 'raw_data') this.typedPayloads = true;
    return true;
  }

  merge(): void {
    this.merges = true;
  }
}

/**
 * Reads a model and leaves out every `raw_data` and every packed, undivided `float_data` or `double_data` of at
 * least {@link PAYLOAD_THRESHOLD} bytes, wherever a tensor can sit but in a small node. Payloads are not read, except those that share
 * a read of at most 1 MiB with something else. Memory: the skeleton, twice while it grows. A source of at most
 * 1 MiB that has nothing to leave out is returned as it was read.
 *
 * Throws a FormatError that names the offset where the source is no protobuf message, is cut off, or is beyond the
 * limits.
 * @param name the file's name for messages
 */
export function scanSkeleton(source: ByteReader, name: string): Skeleton {
  return scanNatively(source) ?? scanInTypeScript(source, name);
}

/** As {@link scanSkeleton}, without the addon. */
export function scanInTypeScript(source: ByteReader, name: string): Skeleton {
  try {
    return scanAt('quick', source, name);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // The other walk knows better what is wrong, and where.
    return scanAt('full', source, name);
  }
}

/** The fields of payloads by the number that the addon has for them. */
const FIELDS: readonly PayloadField[] = ['raw_data', 'float_data', 'double_data'];

const LIMITS = Float64Array.of(
  TENSOR,
  DEPTH_LIMIT,
  PAYLOAD_THRESHOLD,
  SKELETON_BYTE_LIMIT,
  HEAP_BYTE_LIMIT,
  MESSAGE_HEAP_BYTES,
  FIELD_HEAP_BYTES,
  PACKED_INT64_HEAP_BYTES,
  PACKED_NUMBER_HEAP_BYTES,
);

/**
 * As {@link scanSkeleton}, with the addon. Undefined where there is none or it declines: it knows no reasons, and the
 * walk in TypeScript has the last word.
 */
export function scanNatively(source: ByteReader): Skeleton | undefined {
  const { bytes, fd, byteLength } = source;
  if (bytes === undefined && fd === undefined) return undefined;
  const addon = loadNative();
  if (addon === undefined) return undefined;
  const tokens = new PayloadTokens();
  const { nonce } = tokens;
  const rules = { layout: LAYOUT, wholeBelow: WHOLE_BELOW, limits: LIMITS, nonce };
  const found = addon.scanModel({ bytes, fd, byteLength, ...rules });
  if (found === undefined) return undefined;
  const payloads: Payload[] = [];
  for (let i = 0; i < found.payloads.length; i += 3) {
    payloads.push({
      byteOffset: found.payloads[i] as number,
      byteLength: found.payloads[i + 1] as number,
      field: FIELDS[found.payloads[i + 2] as number] as PayloadField,
    });
  }
  return { bytes: found.bytes, payloads, tokens };
}

/** Throws the FormatError that says what is wrong with a model which could not be decoded, if there is one. */
export function diagnose(source: ByteReader, name: string): void {
  scanAt('full', source, name);
}

function scanAt(depth: WalkDepth, source: ByteReader, name: string): Skeleton {
  const skeleton = scan(depth, source, name, true);
  // protobuf joins the numbers of a tensor that comes in pieces. Tokens cannot be joined: such a file, which no
  // writer produces, keeps its numbers.
  return skeleton ?? (scan(depth, source, name, false) as Skeleton);
}

function scan(
  depth: WalkDepth,
  source: ByteReader,
  name: string,
  elideTyped: boolean,
): Skeleton | undefined {
  const reader = new WireReader(source, name);
  const elision = new Elision(reader, elideTyped);
  walkModel(reader, source.byteLength, elision, depth);
  if (elision.merges && elision.typedPayloads) return undefined;
  return { bytes: reader.finish(), payloads: elision.payloads, tokens: elision.tokens };
}
