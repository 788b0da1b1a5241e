/** Writes protobuf into memory, the other side of reader.ts: what was read comes out as it was. */

import type { Int64 } from './int64.ts';
import { encodeEscaped, isEscaped } from './strings.ts';
import { varintByteLength, writeVarint } from './wire.ts';

const FIRST_CAPACITY = 1024;
const FLOAT_BYTES = 4;
const DOUBLE_BYTES = 8;
/** The longest varint, and that of a number of 32 bits. */
const VARINT_BYTES = 10;
const SHORT_VARINT_BYTES = 5;
/** A text this short has at most 127 bytes, three for each of its units: its length is one byte. */
const SHORT_TEXT = 42;

/** A growing buffer of serialized messages. All methods that add something return the writer. */
export class LosslessWriter {
  buf: Buffer = Buffer.allocUnsafe(FIRST_CAPACITY);
  /** Number of bytes that were written. */
  pos = 0;
  /** Whether the values of tensors may go elsewhere than their messages say. */
  readonly movesValues: boolean = false;
  /** Where the messages begin that are open, each with a byte for its length. */
  readonly starts: number[] = [];

  /** Makes room for `byteLength` more bytes. */
  protected reserve(byteLength: number): void {
    const needed = this.pos + byteLength;
    if (needed <= this.buf.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.buf.length * 2));
    this.buf.copy(grown, 0, 0, this.pos);
    this.buf = grown;
  }

  /** @param value 0 to 2^32-1 */
  uint32(value: number): this {
    this.reserve(SHORT_VARINT_BYTES);
    const { buf } = this;
    let rest = value;
    for (; rest > 127; rest >>>= 7) buf[this.pos++] = (rest & 127) | 128;
    buf[this.pos++] = rest;
    return this;
  }

  int32(value: number): this {
    return this.int64(value | 0);
  }

  /** An integer of 64 bits, signed or not. */
  int64(value: Int64): this {
    if (typeof value === 'number' && value >= 0 && value < 2 ** 32) return this.uint32(value);
    const bits = BigInt.asUintN(64, BigInt(value));
    this.reserve(VARINT_BYTES);
    let low = Number(bits & 0xffff_ffffn);
    let high = Number(bits >> 32n);
    while (high > 0 || low > 127) {
      this.buf[this.pos++] = (low & 127) | 128;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.buf[this.pos++] = low;
    return this;
  }

  float(value: number): this {
    this.reserve(FLOAT_BYTES);
    this.pos = this.buf.writeFloatLE(value, this.pos);
    return this;
  }

  double(value: number): this {
    this.reserve(DOUBLE_BYTES);
    this.pos = this.buf.writeDoubleLE(value, this.pos);
    return this;
  }

  /** The length of packed numbers, and the numbers. */
  floats(values: readonly number[]): this {
    this.uint32(values.length * FLOAT_BYTES);
    for (const value of values) this.float(value);
    return this;
  }

  /** The length of packed numbers, and the numbers. */
  doubles(values: readonly number[]): this {
    this.uint32(values.length * DOUBLE_BYTES);
    for (const value of values) this.double(value);
    return this;
  }

  /** The length of packed numbers, and the numbers. */
  int64s(values: readonly Int64[]): this {
    const start = this.#open();
    for (const value of values) this.int64(value);
    return this.#close(start);
  }

  /** The bytes and nothing else. */
  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.buf.set(bytes, this.pos);
    this.pos += bytes.length;
    return this;
  }

  /** Whole messages with their tags and lengths. */
  messages(bytes: Uint8Array): this {
    return this.raw(bytes);
  }

  /** The length of the bytes, and the bytes. */
  bytes(value: Uint8Array): this {
    return this.uint32(value.length).raw(value);
  }

  /** The length of a text, and the text; escapes of bytes that are not UTF-8 become those bytes again. */
  string(value: string): this {
    if (isEscaped(value)) return this.bytes(encodeEscaped(value));
    if (value.length <= SHORT_TEXT) {
      this.reserve(1 + 3 * value.length);
      const length = this.buf.write(value, this.pos + 1);
      this.buf[this.pos] = length;
      this.pos += 1 + length;
      return this;
    }
    const length = Buffer.byteLength(value);
    this.uint32(length).reserve(length);
    this.pos += this.buf.write(value, this.pos);
    return this;
  }

  /** Begins a message whose length is known at its end, {@link ldelim}. */
  fork(): this {
    this.starts.push(this.#open());
    return this;
  }

  ldelim(): this {
    const start = this.starts.pop();
    if (start === undefined) throw new Error('no message is open');
    return this.#close(start);
  }

  /** Leaves a byte for a length. */
  #open(): number {
    this.reserve(1);
    return this.pos++;
  }

  #close(start: number): this {
    const length = this.pos - start - 1;
    const width = varintByteLength(length);
    if (width > 1) {
      this.reserve(width - 1);
      this.buf.copyWithin(start + width, start + 1, this.pos);
      this.pos += width - 1;
    }
    writeVarint(this.buf, start, length, width);
    return this;
  }

  /** What was written: a copy, or with `shared` a view that the next use of the writer overwrites. */
  finish(shared = false): Uint8Array {
    const bytes = this.buf.subarray(0, this.pos);
    return shared ? bytes : Buffer.from(bytes);
  }
}
