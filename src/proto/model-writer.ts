/**
 * Writes a model with gaps where payloads go. A large one is written from front to back without holding it: lengths
 * stand before what they measure, so it is encoded twice, the first time to learn the lengths of what is large.
 */

import { PreconditionError } from '../errors.ts';
import type { PayloadField } from './layout.ts';
import type { onnx } from './onnx.ts';
import { isToken } from './token.ts';
import { varintByteLength, writeVarint } from './wire.ts';
import { LosslessWriter } from './writer.ts';

/** Takes a serialized model, gapless, in the order of the file. */
export interface ModelSink {
  /** @param bytes valid until this returns */
  bytes(bytes: Uint8Array, byteOffset: number): void;
  /** The value of `tensor` goes here. */
  payload(tensor: onnx.ITensorProto, byteOffset: number, byteLength: number): void;
}

/** What a tensor holds in the file: a payload of so many bytes, or entries of `external_data`. */
export type TensorPlace = number | readonly { readonly key: string; readonly value: string }[];

/** Tensors whose value goes elsewhere than their message says. A Map will do. */
export interface TensorPlaces {
  readonly size: number;
  get(tensor: onnx.ITensorProto): TensorPlace | undefined;
}

/** Text is handed on in pieces of this size and more. */
const PIECE = 256 * 1024;

/** The text of a model of up to so many bytes is held. */
const WHOLE = 1024 * 1024;

/** A token has fewer numbers than this. */
const MOST_TOKEN_NUMBERS = 8;

/** Throws a PreconditionError for the token of a payload that is nowhere but in the source file. */
function requireValue(field: PayloadField, value: ArrayBufferView): void {
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (!isToken(field, bytes)) return;
  throw new PreconditionError(
    'ERR_TENSOR',
    `the ${field} of a tensor is still in its source file`,
    {
      hint: 'give encodeModel a place for every payload that was left out on decoding',
    },
  );
}

/** A gap in the text, where a payload goes. */
interface Hole {
  /** Index in the buffer of what follows. */
  at: number;
  readonly tensor: onnx.ITensorProto;
  readonly byteLength: number;
}

/** A message whose length is not known yet. */
interface OpenMessage {
  readonly start: number;
  readonly holes: number;
  readonly holeBytes: number;
}

/** Stands for a message whose beginning was forgotten. */
const FORGOTTEN: OpenMessage = { start: 0, holes: 0, holeBytes: 0 };

/**
 * Writes a model as one text with gaps. Memory: the text, which is the model without its payloads.
 */
export class ModelWriter extends LosslessWriter {
  readonly places: TensorPlaces;
  override readonly movesValues: boolean;
  #scratch: LosslessWriter | undefined;
  /** How many tensors of `places` were met. */
  placed = 0;
  protected readonly open: OpenMessage[] = [];
  readonly #holes: Hole[] = [];
  #holeBytes = 0;

  constructor(places: TensorPlaces) {
    super();
    this.places = places;
    this.movesValues = places.size > 0;
  }

  /** For one message at a time. */
  get scratch(): LosslessWriter {
    this.#scratch ??= new LosslessWriter();
    return this.#scratch;
  }

  /** Bytes of the file up to here. */
  get byteLength(): number {
    return this.pos + this.#holeBytes;
  }

  override fork(): this {
    this.open.push({ start: this.pos, holes: this.#holes.length, holeBytes: this.#holeBytes });
    return super.fork();
  }

  override ldelim(): this {
    const message = this.open.pop();
    const inserted = this.#holeBytes - (message?.holeBytes ?? 0);
    if (message === undefined || inserted === 0) return super.ldelim();
    const { start, holes } = message;
    const end = this.pos;
    const length = end - start - 1 + inserted;
    const width = varintByteLength(length);
    this.starts.pop();
    this.reserve(width - 1);
    this.buf.copyWithin(start + width, start + 1, end);
    writeVarint(this.buf, start, length, width);
    this.pos = end + width - 1;
    for (const hole of this.#holes.slice(holes)) hole.at += width - 1;
    return this;
  }

  override bytes(value: Uint8Array): this {
    requireValue('raw_data', value);
    return super.bytes(value);
  }

  override floats(values: readonly number[]): this {
    if (values.length < MOST_TOKEN_NUMBERS) requireValue('float_data', Float32Array.from(values));
    return super.floats(values);
  }

  override doubles(values: readonly number[]): this {
    if (values.length < MOST_TOKEN_NUMBERS) requireValue('double_data', Float64Array.from(values));
    return super.doubles(values);
  }

  /** Writes the length of a payload and leaves the payload out. */
  payload(tensor: onnx.ITensorProto, byteLength: number): void {
    this.uint32(byteLength);
    this.#holes.push({ at: this.pos, tensor, byteLength });
    this.#holeBytes += byteLength;
  }

  /** Hands on everything there is, which begins at `start` of the file. */
  handOn(sink: ModelSink | undefined, start = 0): void {
    let at = 0;
    let byteOffset = start;
    const text = (end: number) => {
      if (end > at) sink?.bytes(this.buf.subarray(at, end), byteOffset);
      byteOffset += end - at;
      at = end;
    };
    for (const hole of this.#holes) {
      text(hole.at);
      sink?.payload(hole.tensor, byteOffset, hole.byteLength);
      byteOffset += hole.byteLength;
    }
    text(this.pos);
  }

  /** Forgets everything there is. */
  protected clear(): void {
    this.pos = 0;
    this.#holes.length = 0;
    this.#holeBytes = 0;
  }
}

/**
 * Learns the lengths of the fields of a model, for {@link StreamWriter}; a small model is written with that, and whole.
 * Memory: the text of a small model, else the largest message within a field, such as a node.
 */
export class MeasuringWriter extends ModelWriter {
  /** Lengths of the fields of the model that are messages, in order. */
  readonly lengths: number[] = [];
  /** Bytes that were forgotten. */
  #passed = 0;
  /** Where the content of the field of the model begins that is open. */
  #fieldStart = 0;

  override get byteLength(): number {
    return this.#passed + super.byteLength;
  }

  /** Whether all of the model is still there. */
  get isWhole(): boolean {
    return this.#passed === 0;
  }

  override fork(): this {
    super.fork();
    if (this.open.length === 1) this.#fieldStart = this.byteLength;
    return this;
  }

  override ldelim(): this {
    const isField = this.open.length === 1;
    const length = this.byteLength - this.#fieldStart;
    if (isField) this.lengths.push(length);
    if (isField && this.open[0] === FORGOTTEN) this.#endForgotten(length);
    else super.ldelim();
    this.#forget();
    return this;
  }

  override messages(bytes: Uint8Array): this {
    super.messages(bytes);
    this.#forget();
    return this;
  }

  /** Drops what is there once it is much; the field that is open, if one is, goes on without its beginning. */
  #forget(): void {
    if (this.open.length > 1 || this.pos < WHOLE) return;
    this.#passed = this.byteLength;
    this.clear();
    if (this.open.length === 1) this.open[0] = FORGOTTEN;
  }

  /** Ends a field whose beginning is not there: the byte that was left for its length is counted already. */
  #endForgotten(length: number): void {
    this.open.pop();
    this.starts.pop();
    this.#passed += varintByteLength(length) - 1;
  }
}

/**
 * Writes a model whose lengths are known. Memory: the largest message within a field of the model, such as a node or a
 * tensor without its payload.
 */
export class StreamWriter extends ModelWriter {
  readonly #lengths: readonly number[];
  readonly #sink: ModelSink;
  #fields = 0;
  /** Bytes before those in the buffer. */
  #passed = 0;
  #isInField = false;

  /** @param lengths of the fields of the model that are messages, in order */
  constructor(places: TensorPlaces, lengths: readonly number[], sink: ModelSink) {
    super(places);
    this.#lengths = lengths;
    this.#sink = sink;
  }

  override get byteLength(): number {
    return this.#passed + super.byteLength;
  }

  override fork(): this {
    if (this.#isInField) return super.fork();
    this.#isInField = true;
    return this.uint32(this.#lengths[this.#fields++] ?? 0);
  }

  override ldelim(): this {
    if (this.open.length > 0) super.ldelim();
    else this.#isInField = false;
    return this.#flushMuch();
  }

  override messages(bytes: Uint8Array): this {
    super.messages(bytes);
    return this.#flushMuch();
  }

  #flushMuch(): this {
    if (this.open.length === 0 && this.pos >= PIECE) this.flush();
    return this;
  }

  /** Hands on and forgets everything there is. */
  flush(): void {
    this.handOn(this.#sink, this.#passed);
    this.#passed = this.byteLength;
    this.clear();
  }
}
