/** The inverse of a skeleton: where payloads go in the model that a serialized message with tokens stands for. */

import { PreconditionError } from '../errors.ts';
import type { PayloadField } from './layout.ts';
import { FILE_BYTE_LIMIT } from './limits.ts';
import type { PayloadTokens } from './token.ts';
import { isToken } from './token.ts';
import type { ModelVisitor } from './walk.ts';
import { walkModel } from './walk.ts';
import { memoryReader, varintByteLength, WireReader, writeVarint } from './wire.ts';

/** A token found in serialized bytes and the payload that takes its place. */
interface Hole {
  readonly index: number;
  /** Number of bytes before the payload in the output, other payloads not counted. */
  readonly textOffset: number;
}

/** Serialized bytes without tokens, and where payloads are to be inserted. */
export interface Expansion {
  /** Everything but payloads, with the lengths of the complete model. */
  readonly text: Uint8Array;
  /** In the order of the output. */
  readonly holes: readonly Hole[];
}

/** One replacement of source bytes: a length varint, or a length varint with the token behind it. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly length: number;
  /** Token number when a payload follows. */
  readonly index: number | undefined;
}

interface OpenMessage {
  readonly lengthOffset: number;
  readonly contentOffset: number;
  readonly byteLength: number;
  growth: number;
  readonly editsBefore: number;
}

class TokenSearch implements ModelVisitor {
  readonly edits: Edit[] = [];
  growth = 0;
  readonly #bytes: Uint8Array;
  readonly #reader: WireReader;
  readonly #tokens: PayloadTokens;
  readonly #byteLengths: readonly number[];
  readonly #open: OpenMessage[] = [];

  constructor(
    bytes: Uint8Array,
    reader: WireReader,
    tokens: PayloadTokens,
    byteLengths: readonly number[],
  ) {
    this.#bytes = bytes;
    this.#reader = reader;
    this.#tokens = tokens;
    this.#byteLengths = byteLengths;
  }

  enter(lengthOffset: number, byteLength: number): void {
    const contentOffset = this.#reader.byteOffset;
    const editsBefore = this.edits.length;
    this.#open.push({ lengthOffset, contentOffset, byteLength, growth: 0, editsBefore });
  }

  leave(): void {
    const message = this.#open.pop() as OpenMessage;
    if (this.edits.length === message.editsBefore) return;
    const { lengthOffset: start, contentOffset: end } = message;
    const length = message.byteLength + message.growth;
    this.edits.push({ start, end, length, index: undefined });
    this.#grow(message.growth + varintByteLength(length) - (end - start));
  }

  payload(field: PayloadField, lengthOffset: number, byteLength: number): boolean {
    const contentOffset = this.#reader.byteOffset;
    const content = this.#bytes.subarray(contentOffset, contentOffset + byteLength);
    if (!isToken(field, content)) return false;
    const index = this.#tokens.index(field, content);
    const length = index === undefined ? undefined : this.#byteLengths[index];
    if (index === undefined || length === undefined) {
      throw new PreconditionError(
        'ERR_TENSOR',
        `a tensor's ${field} at byte ${lengthOffset} of the encoded graph is still in its source file`,
        { hint: 'give encodeModel the byte length of every payload that was left out on decoding' },
      );
    }
    const end = contentOffset + byteLength;
    this.edits.push({ start: lengthOffset, end, length, index });
    this.#grow(varintByteLength(length) + length - (end - lengthOffset));
    return false;
  }

  merge(): void {}

  #grow(byteLength: number): void {
    const parent = this.#open.at(-1);
    if (parent) parent.growth += byteLength;
    else this.growth += byteLength;
  }
}

/** Throws a PreconditionError when a serialized model of `byteLength` bytes is more than protobuf can hold. */
export function requireFileSize(byteLength: number): void {
  if (byteLength <= FILE_BYTE_LIMIT) return;
  throw new PreconditionError(
    'ERR_LIMIT',
    `the model would have ${byteLength} bytes in one .onnx file, protobuf ends at 2^31-1`,
    { hint: 'keep the weights in external data', details: { byteLength } },
  );
}

/**
 * Finds the tokens in `bytes`, a serialized model, and computes the text around the payloads that replace them.
 * Memory: one copy of `bytes`. Throws a PreconditionError for a token of another scan, and when the whole would
 * have 2 GiB or more.
 * @param byteLengths length of the payload for each token number
 */
export function expandTokens(
  bytes: Uint8Array,
  tokens: PayloadTokens,
  byteLengths: readonly number[],
): Expansion {
  const reader = new WireReader(memoryReader(bytes), 'the encoded graph', bytes.length);
  const search = new TokenSearch(bytes, reader, tokens, byteLengths);
  walkModel(reader, bytes.length, search, 'full');
  requireFileSize(bytes.length + search.growth);
  return splice(
    bytes,
    search.edits.sort((a, b) => a.start - b.start),
  );
}

function splice(bytes: Uint8Array, edits: readonly Edit[]): Expansion {
  let textLength = bytes.length;
  for (const { start, end, length } of edits)
    textLength += varintByteLength(length) - (end - start);
  const text = new Uint8Array(textLength);
  const holes: Hole[] = [];
  let read = 0;
  let written = 0;
  for (const { start, end, length, index } of edits) {
    text.set(bytes.subarray(read, start), written);
    written += start - read;
    const width = varintByteLength(length);
    writeVarint(text, written, length, width);
    written += width;
    read = end;
    if (index !== undefined) holes.push({ index, textOffset: written });
  }
  text.set(bytes.subarray(read), written);
  return { text, holes };
}
