/** The header of a safetensors file as text: a strict reader of its JSON, in windows, that keeps nothing. */

import { FormatError } from '../errors.ts';
import type { ByteReader } from '../proto/wire.ts';
import { METADATA_NAME, type SafetensorsEntry } from './safetensors.ts';

/** Bytes looked at together. */
const WINDOW_BYTES = 1 << 16;
/** Deepest nesting of values that are passed over. */
const DEEPEST = 64;
/** More dimensions than any tensor has; a header could claim millions. */
const MOST_DIMS = 1024;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN, CLOSE] = [0x5b, 0x5d, 0x7b, 0x7d];
const [ZERO, NINE] = [0x30, 0x39];
const END = -1;

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Reads entries of a header. Every problem is a FormatError that says at which byte of the file. */
export class HeaderText {
  readonly #reader: ByteReader;
  readonly #end: number;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  readonly #utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #start = 0;
  #length = 0;
  #at: number;

  /** @param start where the header begins in the file, `end` where it ends */
  constructor(reader: ByteReader, start: number, end: number) {
    this.#reader = reader;
    this.#at = start;
    this.#end = end;
  }

  /** Every entry in the order of the text, with the place of its value, for {@link valueAt}. */
  *entries(): Generator<{ readonly entry: SafetensorsEntry; readonly position: number }> {
    this.#expect(OPEN, 'an object');
    let hasMetadata = false;
    for (let isFirst = true; !this.#closes(CLOSE, isFirst); isFirst = false) {
      const name = this.#string();
      this.#expect(COLON, 'a colon');
      this.#space();
      if (name === METADATA_NAME) {
        if (hasMetadata) throw this.#problem(`${METADATA_NAME} is there twice`);
        hasMetadata = true;
        this.#metadata();
        continue;
      }
      const position = this.#at;
      yield { entry: { name, ...this.#value() }, position };
    }
    this.#space();
    if (this.#peek() !== END) throw this.#problem('something follows the object');
  }

  /** The value of an entry again. */
  valueAt(position: number): Omit<SafetensorsEntry, 'name'> {
    this.#at = position;
    return this.#value();
  }

  #problem(what: string): FormatError {
    return new FormatError(
      'ERR_EXTERNAL_DATA',
      `the header is damaged at byte ${this.#at}: ${what}`,
    );
  }

  #peek(): number {
    const at = this.#at;
    if (at >= this.#end) return END;
    if (at < this.#start || at >= this.#start + this.#length) {
      this.#length = Math.min(WINDOW_BYTES, this.#end - at);
      const bytes = this.#reader.read(at, this.#length, this.#window);
      if (bytes.buffer !== this.#window.buffer) this.#window.set(bytes);
      this.#start = at;
    }
    return this.#window[at - this.#start] as number;
  }

  #space(): void {
    while (isSpace(this.#peek())) this.#at++;
  }

  #expect(byte: number, what: string): void {
    this.#space();
    if (this.#peek() !== byte) throw this.#problem(`${what} was expected`);
    this.#at++;
  }

  /** Passes the end of a list or object, or the comma before its next member. */
  #closes(byte: number, isFirst: boolean): boolean {
    this.#space();
    if (this.#peek() === byte) {
      this.#at++;
      return true;
    }
    if (!isFirst) this.#expect(COMMA, 'a comma');
    return false;
  }

  #string(): string {
    this.#expect(QUOTE, 'a string');
    const pieces: Buffer[] = [];
    let isEscaped = false;
    for (let byte = this.#peek(); byte !== QUOTE; byte = this.#peek()) {
      if (byte < 0x20) throw this.#problem('a string does not end');
      const from = this.#at - this.#start;
      let to = from;
      while (to < this.#length) {
        const next = this.#window[to] as number;
        if (next === QUOTE || next === BACKSLASH || next < 0x20) break;
        to++;
      }
      if (byte === BACKSLASH) {
        isEscaped = true;
        pieces.push(Buffer.of(BACKSLASH));
        this.#at++;
        const escaped = this.#peek();
        if (escaped < 0x20) throw this.#problem('a string does not end');
        pieces.push(Buffer.of(escaped));
        this.#at++;
        continue;
      }
      pieces.push(Buffer.from(this.#window.subarray(from, to)));
      this.#at = this.#start + to;
    }
    this.#at++;
    return this.#text(
      pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces),
      isEscaped,
    );
  }

  #text(bytes: Buffer, isEscaped: boolean): string {
    let text: string;
    try {
      text = this.#utf8.decode(bytes);
      if (isEscaped) text = JSON.parse(`"${text}"`) as string;
    } catch {
      throw this.#problem('a string is not UTF-8, or has an escape that is none');
    }
    if (isEscaped && !isWellFormed(text)) throw this.#problem('a string has half a character');
    return text;
  }

  #number(): number {
    this.#space();
    const first = this.#peek();
    let value = 0;
    let digits = 0;
    for (let byte = first; byte >= ZERO && byte <= NINE; byte = this.#peek()) {
      value = value * 10 + byte - ZERO;
      digits++;
      this.#at++;
      if (value > Number.MAX_SAFE_INTEGER) throw this.#problem('a number is too large');
    }
    if (digits === 0 || (first === ZERO && digits > 1)) {
      throw this.#problem('a whole number was expected');
    }
    return value;
  }

  #numbers(most: number): number[] {
    this.#expect(OPEN_LIST, 'a list');
    const numbers: number[] = [];
    while (!this.#closes(CLOSE_LIST, numbers.length === 0)) {
      if (numbers.length === most) throw this.#problem(`a list has more than ${most} numbers`);
      numbers.push(this.#number());
    }
    return numbers;
  }

  #value(): Omit<SafetensorsEntry, 'name'> {
    this.#expect(OPEN, 'an object');
    let dtype: string | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    for (let isFirst = true; !this.#closes(CLOSE, isFirst); isFirst = false) {
      const key = this.#string();
      this.#expect(COLON, 'a colon');
      const isKnown = { dtype, shape, data_offsets: offsets };
      if (Object.hasOwn(isKnown, key) && isKnown[key as keyof typeof isKnown] !== undefined) {
        throw this.#problem(`${key} is there twice`);
      }
      if (key === 'dtype') dtype = this.#string();
      else if (key === 'shape') shape = this.#numbers(MOST_DIMS);
      else if (key === 'data_offsets') offsets = this.#numbers(2);
      else this.#pass(0);
    }
    const [begin, end] = offsets ?? [];
    if (dtype === undefined || shape === undefined || begin === undefined || end === undefined) {
      throw this.#problem('an entry lacks its dtype, shape or data_offsets');
    }
    return { dtype, shape, begin, end };
  }

  #metadata(): void {
    this.#expect(OPEN, 'an object');
    for (let isFirst = true; !this.#closes(CLOSE, isFirst); isFirst = false) {
      this.#string();
      this.#expect(COLON, 'a colon');
      this.#string();
    }
  }

  /** Passes over a value of any kind. */
  #pass(depth: number): void {
    if (depth > DEEPEST) throw this.#problem('values are nested too deeply');
    this.#space();
    const byte = this.#peek();
    if (byte === QUOTE) {
      this.#string();
    } else if (byte === OPEN || byte === OPEN_LIST) {
      this.#at++;
      const close = byte === OPEN ? CLOSE : CLOSE_LIST;
      for (let isFirst = true; !this.#closes(close, isFirst); isFirst = false) {
        if (byte === OPEN) {
          this.#string();
          this.#expect(COLON, 'a colon');
        }
        this.#pass(depth + 1);
      }
    } else {
      this.#scalar();
    }
  }

  /** Passes over a number, true, false or null. */
  #scalar(): void {
    let text = '';
    for (let byte = this.#peek(); byte > 0x20; byte = this.#peek()) {
      if (byte === COMMA || byte === CLOSE || byte === CLOSE_LIST) break;
      text += String.fromCharCode(byte);
      this.#at++;
      if (text.length > 400) break;
    }
    if (/^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(text)) return;
    throw this.#problem('a value was expected');
  }
}

/** True for text that has no half of a surrogate pair. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
