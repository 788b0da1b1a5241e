/**
 * Texts that give back every byte. protobuf strings should be UTF-8, but nothing checks: a byte that
 * is not UTF-8 becomes the lone surrogate U+DC00 + byte, which valid text never contains, and is written as that
 * byte again. Such a name stays distinct and survives; printed, it shows replacement characters.
 */

import { isUtf8 } from 'node:buffer';

const REPLACEMENT = '\ufffd';
const ESCAPE_BASE = 0xdc00;
const LONE_ESCAPE = /(?<![\ud800-\udbff])[\udc80-\udcff]/;
const LOW_SURROGATE = /[\udc80-\udcff]/;

/** What `toString` calls after it has looked at its arguments: half the time of a short text. */
interface Utf8Slicing {
  utf8Slice(start: number, end: number): string;
}

/** The text of bytes `start` to `end`, which lie within the buffer, escaped where they are not UTF-8. */
export function readLossless(buffer: Buffer, start: number, end: number): string {
  const text = (buffer as Buffer & Utf8Slicing).utf8Slice(start, end);
  if (text.indexOf(REPLACEMENT) < 0) return text;
  const bytes = buffer.subarray(start, end);
  return isUtf8(bytes) ? text : decodeEscaped(bytes);
}

/** Whether {@link readLossless} escaped bytes of a text. */
export function isEscaped(text: string): boolean {
  return LOW_SURROGATE.test(text) && LONE_ESCAPE.test(text);
}

/** The bytes of a text that {@link readLossless} may have escaped. */
export function encodeLossless(text: string): Buffer {
  return isEscaped(text) ? encodeEscaped(text) : Buffer.from(text);
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

/** The bytes of a text with escapes. */
export function encodeEscaped(text: string): Buffer {
  const parts: Buffer[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    const escaped = code >= 0xdc80 && code <= 0xdcff;
    parts.push(escaped ? Buffer.from([code - ESCAPE_BASE]) : Buffer.from(character));
  }
  return Buffer.concat(parts);
}
