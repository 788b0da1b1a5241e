/**
 * Reads protobuf from memory and loses nothing: what it hands out is a copy, and a string that is not UTF-8 is what
 * {@link readLossless} makes of it. Every length and number is checked against the end that is set: messages come from
 * strangers.
 */

import type { NodeTape } from './headers.ts';
import type { Int64 } from './int64.ts';
import { DEPTH_LIMIT } from './limits.ts';
import { readLossless } from './strings.ts';
import { WireType } from './wire.ts';

const FLOAT_BYTES = 4;
const DOUBLE_BYTES = 8;
/** A varint has at most so many bytes. */
const VARINT_BYTES = 10;
/** A tag and a length have at most so many, and the last holds bits 28 and up. */
const SHORT_VARINT_BYTES = 5;
const TAG_LAST_BYTE = 15;
const LENGTH_LAST_BYTE = 7;
/** From here a list of floats is read through a view. */
const MANY_NUMBERS = 16;

/** A cursor over serialized messages. Its methods throw a RangeError or an Error in the words of protobuf. */
export class LosslessReader {
  readonly buf: Buffer;
  /** Where the next byte is. */
  pos = 0;
  /** Where reading ends. */
  len: number;
  /** Where deferred messages keep what they show; without it nothing is deferred. */
  readonly tape: NodeTape | undefined;

  constructor(bytes: Uint8Array, tape?: NodeTape) {
    this.buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.len = bytes.byteLength;
    this.tape = tape;
  }

  /** Throws when fewer than `byteLength` bytes are left. */
  #require(byteLength: number): void {
    if (byteLength > this.len - this.pos) {
      throw new RangeError(`index out of range: ${this.pos} + ${byteLength} > ${this.len}`);
    }
  }

  #byte(): number {
    this.#require(1);
    return this.buf[this.pos++] as number;
  }

  /** A varint of at most five bytes that has at most 28 bits and those of `last`. */
  #short(last: number, what: string): number {
    let value = 0;
    for (let i = 0; i < SHORT_VARINT_BYTES; i++) {
      const byte = this.#byte();
      if (i === SHORT_VARINT_BYTES - 1 && byte > last) throw new Error(`invalid ${what} encoding`);
      value |= (byte & 127) << (7 * i);
      if (byte < 128) break;
    }
    return value >>> 0;
  }

  /** Number × 8 + wire type of a field. */
  tag(): number {
    const first = this.buf[this.pos] as number;
    if (first >= 128 || this.pos >= this.len) return this.#short(TAG_LAST_BYTE, 'tag');
    this.pos++;
    return first;
  }

  /** The length of what follows, which may be more than there is. */
  size(): number {
    const first = this.buf[this.pos] as number;
    if (first >= 128 || this.pos >= this.len) return this.#short(LENGTH_LAST_BYTE, 'length');
    this.pos++;
    return first;
  }

  /** The low 32 bits of a varint. */
  int32(): number {
    let value = 0;
    for (let i = 0; i < VARINT_BYTES; i++) {
      const byte = this.#byte();
      if (i < SHORT_VARINT_BYTES) value |= (byte & 127) << (7 * i);
      if (byte < 128) return value;
    }
    throw new Error('invalid varint encoding');
  }

  int64(): Int64 {
    return this.#varint(true);
  }

  uint64(): Int64 {
    return this.#varint(false);
  }

  #varint(signed: boolean): Int64 {
    let low = 0;
    let high = 0;
    for (let i = 0; i < VARINT_BYTES; i++) {
      const byte = this.#byte();
      const bits = byte & 127;
      if (i < SHORT_VARINT_BYTES) low |= bits << (7 * i);
      if (i === SHORT_VARINT_BYTES - 1) high = bits >> 4;
      else if (i >= SHORT_VARINT_BYTES) high |= bits << (7 * i - 32);
      if (byte >= 128) continue;
      const upper = signed ? high : high >>> 0;
      const value = upper * 2 ** 32 + (low >>> 0);
      if (Number.isSafeInteger(value)) return value;
      return (BigInt(upper) << 32n) | BigInt(low >>> 0);
    }
    throw new Error('invalid varint encoding');
  }

  /** A signalling NaN becomes a quiet one: numbers of JavaScript do not hold it. */
  float(): number {
    this.#require(FLOAT_BYTES);
    const value = this.buf.readFloatLE(this.pos);
    this.pos += FLOAT_BYTES;
    return value;
  }

  double(): number {
    this.#require(DOUBLE_BYTES);
    const value = this.buf.readDoubleLE(this.pos);
    this.pos += DOUBLE_BYTES;
    return value;
  }

  /** Appends to `list` the packed numbers that follow their length. */
  floats(list: number[]): void {
    this.#fixed(list, FLOAT_BYTES);
  }

  /** Appends to `list` the packed numbers that follow their length. */
  doubles(list: number[]): void {
    this.#fixed(list, DOUBLE_BYTES);
  }

  #fixed(list: number[], byteLength: number): void {
    const total = this.size();
    this.#require(total);
    if (total % byteLength !== 0) throw new RangeError('index out of range');
    const end = this.pos + total;
    if (total < MANY_NUMBERS * byteLength) {
      while (this.pos < end) list.push(byteLength === FLOAT_BYTES ? this.float() : this.double());
      return;
    }
    const view = new DataView(this.buf.buffer, this.buf.byteOffset + this.pos, total);
    for (let at = 0; at < total; at += byteLength) {
      list.push(byteLength === FLOAT_BYTES ? view.getFloat32(at, true) : view.getFloat64(at, true));
    }
    this.pos = end;
  }

  /** Appends to `list` the packed varints that follow their length, each as `read`, a method of this, gives it. */
  varints<Value>(list: Value[], read: (this: LosslessReader) => Value): void {
    const total = this.size();
    this.#require(total);
    const outer = this.len;
    this.len = this.pos + total;
    while (this.pos < this.len) list.push(read.call(this));
    this.len = outer;
  }

  /** A copy, so that a decoded message does not hold the whole of what it was decoded from. */
  raw(start: number, end: number): Buffer {
    return Buffer.from(this.buf.subarray(start, end));
  }

  /** A copy of the bytes that follow their length. */
  bytes(): Buffer {
    const start = this.#pass();
    return this.raw(start, this.pos);
  }

  /** The text of the bytes that follow their length. */
  string(): string {
    const start = this.#pass();
    return readLossless(this.buf, start, this.pos);
  }

  /** Passes a length and as many bytes; returns where those begin. */
  #pass(): number {
    const length = this.size();
    const start = this.pos;
    this.skip(length);
    return start;
  }

  skip(byteLength: number): void {
    this.#require(byteLength);
    this.pos += byteLength;
  }

  /** Passes the value of a field, whatever it is. */
  skipType(wireType: number, depth: number, number: number): void {
    if (depth > DEPTH_LIMIT) throw new Error('max depth exceeded');
    if (number === 0) throw new Error('illegal tag: field number 0');
    switch (wireType) {
      case WireType.VARINT:
        while (this.#byte() >= 128);
        break;
      case WireType.I64:
        this.skip(8);
        break;
      case WireType.LEN:
        this.skip(this.size());
        break;
      case WireType.I32:
        this.skip(4);
        break;
      case WireType.SGROUP:
        this.#skipGroup(depth, number);
        break;
      default:
        throw new Error(`invalid wire type ${wireType} at offset ${this.pos}`);
    }
  }

  #skipGroup(depth: number, number: number): void {
    while (true) {
      const tag = this.tag();
      const inner = tag >>> 3;
      if ((tag & 7) !== WireType.EGROUP) this.skipType(tag & 7, depth + 1, inner);
      else if (inner === number) return;
      else throw new Error('invalid end group tag');
    }
  }
}
