/**
 * Readers and writers that give back every byte. protobuf strings should be UTF-8, but nothing checks: a byte that
 * is not UTF-8 becomes the lone surrogate U+DC00 + byte, which valid text never contains, and is written as that
 * byte again. Such a name stays distinct and survives; printed, it shows replacement characters.
 */

import { isUtf8 } from 'node:buffer';
import protobuf from 'protobufjs/minimal.js';
import type { NodeTape } from './headers.ts';

const REPLACEMENT = '\ufffd';
const ESCAPE_BASE = 0xdc00;
const LONE_ESCAPE = /(?<![\ud800-\udbff])[\udc80-\udcff]/;
const LOW_SURROGATE = /[\udc80-\udcff]/;

/** A protobuf reader that keeps unknown fields, copies bytes out of its buffer and loses no string. */
export class LosslessReader extends protobuf.BufferReader {
  /** Where deferred messages keep what they show; without it nothing is deferred. */
  readonly tape: NodeTape | undefined;

  constructor(bytes: Uint8Array, tape?: NodeTape) {
    super(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.discardUnknown = false;
    this.tape = tape;
  }

  /** A copy, so that a decoded message does not hold the whole of what it was decoded from. */
  override raw(start: number, end: number): Buffer {
    return Buffer.from(this.buf.subarray(start, end));
  }

  override string(): string {
    const before = this.pos;
    const text = super.string();
    if (text.indexOf(REPLACEMENT) < 0) return text;
    const end = this.pos;
    this.pos = before;
    const length = this.size();
    this.pos = end;
    const bytes = this.buf.subarray(end - length, end);
    return isUtf8(bytes) ? text : decodeEscaped(bytes);
  }
}

/** The text of bytes `start` to `end`, escaped where they are not UTF-8. */
export function readLossless(buffer: Buffer, start: number, end: number): string {
  const text = buffer.toString('utf8', start, end);
  if (text.indexOf(REPLACEMENT) < 0) return text;
  const bytes = buffer.subarray(start, end);
  return isUtf8(bytes) ? text : decodeEscaped(bytes);
}

/** The bytes of a text that {@link readLossless} may have escaped. */
export function encodeLossless(text: string): Buffer {
  const plain = !LOW_SURROGATE.test(text) || !LONE_ESCAPE.test(text);
  return plain ? Buffer.from(text) : encodeEscaped(text);
}

/** A protobuf writer that turns the escapes of {@link LosslessReader} back into bytes. */
export class LosslessWriter extends protobuf.BufferWriter {
  override string(value: string): this {
    if (!LOW_SURROGATE.test(value) || !LONE_ESCAPE.test(value)) {
      super.string(value);
    } else {
      this.bytes(encodeEscaped(value));
    }
    return this;
  }
}

/** Number of bytes of the UTF-8 sequence that a lead byte announces; 1 for what cannot lead. */
function sequenceLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc2 ? 2 : 1;
}

function decodeEscaped(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < bytes.length; ) {
    const sequence = bytes.subarray(i, i + sequenceLength(bytes[i] as number));
    if (isUtf8(sequence)) parts.push(Buffer.from(sequence).toString());
    else parts.push(String.fromCharCode(ESCAPE_BASE + (bytes[i] as number)));
    i += isUtf8(sequence) ? sequence.length : 1;
  }
  return parts.join('');
}

function encodeEscaped(text: string): Buffer {
  const parts: Buffer[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    const escaped = code >= 0xdc80 && code <= 0xdcff;
    parts.push(escaped ? Buffer.from([code - ESCAPE_BASE]) : Buffer.from(character));
  }
  return Buffer.concat(parts);
}
