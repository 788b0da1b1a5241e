/**
 * Writes a model from front to back without holding it. Lengths stand before what they measure, so a model is
 * encoded twice: the first time to learn the lengths of what is large, the second time to write.
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

/**
 * The writer of one pass. Memory: the largest message within a field of the model, such as a node or a tensor
 * without its payload.
 */
export class ModelWriter extends LosslessWriter {
  readonly places: TensorPlaces;
  /** For one message at a time. */
  readonly scratch = new LosslessWriter();
  /** How many tensors of `places` were met. */
  placed = 0;
  /** Lengths of the fields of the model that are messages, in order. */
  readonly lengths: number[] = [];
  readonly #known: readonly number[] | undefined;
  readonly #sink: ModelSink | undefined;
  readonly #open: OpenMessage[] = [];
  readonly #holes: Hole[] = [];
  #holeBytes = 0;
  /** Bytes before those in the buffer. */
  #passed = 0;
  /** Where the field of the model begins that is open. */
  #fieldStart: number | undefined;

  /** @param second what the first pass learned, and where the model goes; without it this is the first pass */
  constructor(
    places: TensorPlaces,
    second?: { readonly lengths: readonly number[]; readonly sink: ModelSink },
  ) {
    super();
    this.places = places;
    this.#known = second?.lengths;
    this.#sink = second?.sink;
  }

  /** Bytes of the file up to here. */
  get byteLength(): number {
    return this.#passed + this.pos + this.#holeBytes;
  }

  override fork(): this {
    if (this.#fieldStart !== undefined) {
      this.#open.push({
        start: this.pos,
        holes: this.#holes.length,
        holeBytes: this.#holeBytes,
      });
      super.fork();
      return this;
    }
    const known = this.#known?.[this.lengths.length];
    if (known !== undefined) this.uint32(known);
    this.#fieldStart = this.byteLength;
    return this;
  }

  override ldelim(): this {
    const message = this.#open.pop();
    if (message === undefined) this.#endField();
    else this.#endMessage(message);
    if (this.#open.length === 0 && this.pos >= PIECE) this.flush();
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

  #endField(): void {
    const length = this.byteLength - (this.#fieldStart ?? 0);
    this.#fieldStart = undefined;
    this.lengths.push(length);
    if (this.#known === undefined) this.#passed += varintByteLength(length);
  }

  #endMessage({ start, holes, holeBytes }: OpenMessage): void {
    const inserted = this.#holeBytes - holeBytes;
    if (inserted === 0) {
      super.ldelim();
      return;
    }
    const end = this.pos;
    const length = end - start - 1 + inserted;
    const width = varintByteLength(length);
    this.starts.pop();
    this.reserve(width - 1);
    this.buf.copyWithin(start + width, start + 1, end);
    writeVarint(this.buf, start, length, width);
    this.pos = end + width - 1;
    for (const hole of this.#holes.slice(holes)) hole.at += width - 1;
  }

  /** Writes the length of a payload and leaves the payload out. */
  payload(tensor: onnx.ITensorProto, byteLength: number): void {
    this.uint32(byteLength);
    this.#holes.push({ at: this.pos, tensor, byteLength });
    this.#holeBytes += byteLength;
  }

  /** Hands on everything there is. */
  flush(): void {
    let at = 0;
    let byteOffset = this.#passed;
    this.#passed = this.byteLength;
    const text = (end: number) => {
      if (end > at) this.#sink?.bytes(this.buf.subarray(at, end), byteOffset);
      byteOffset += end - at;
      at = end;
    };
    for (const hole of this.#holes) {
      text(hole.at);
      this.#sink?.payload(hole.tensor, byteOffset, hole.byteLength);
      byteOffset += hole.byteLength;
    }
    text(this.pos);
    this.pos = 0;
    this.#holes.length = 0;
    this.#holeBytes = 0;
  }
}
