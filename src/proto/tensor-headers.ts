/** Types, shapes and places of the initializers of a graph, read for many at a time where the addon can. */

import { loadNative, type NativeAddon } from '../native.ts';
import { tensorHeader } from './deferred.ts';
import type { NodeTape, StatedPlace, TensorHeader } from './headers.ts';
import { MessageList, type Messages } from './message-list.ts';
import type { onnx } from './onnx.ts';
import { readLossless } from './strings.ts';

/** Columns of a row, and its length: native/tensor-headers.h. */
const ROW = {
  STATE: 0,
  TYPE: 1,
  START: 2,
  BYTE_LENGTH: 3,
  LOCATION_START: 4,
  LOCATION_LENGTH: 5,
  RANK: 6,
  PLAIN: 7,
  DIMS: 8,
  LENGTH: 16,
} as const;

const STATE = { NO_VALUE: 0, RAW: 1, EXTERNAL: 2 } as const;

/** Tensors described at once: 128 KiB of rows. */
const BATCH = 1024;

/** A header made of a row. */
class RowHeader implements TensorHeader {
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly place: StatedPlace | undefined;
  readonly rawByteLength: number;
  readonly #buffer: Buffer;
  readonly #rawStart: number;

  constructor(
    buffer: Buffer,
    dims: readonly number[],
    dataType: number,
    place: StatedPlace | undefined,
    rawStart: number,
    rawByteLength: number,
  ) {
    this.#buffer = buffer;
    this.dims = dims;
    this.dataType = dataType;
    this.place = place;
    this.#rawStart = rawStart;
    this.rawByteLength = rawByteLength;
  }

  get externalData(): undefined {
    return undefined;
  }

  rawData(): Uint8Array {
    return this.#buffer.subarray(this.#rawStart, this.#rawStart + this.rawByteLength);
  }
}

/** The headers of a list of tensors. */
export class TensorHeaders {
  readonly #list: Messages<onnx.ITensorProto>;
  readonly #tape: NodeTape;
  readonly #addon: NativeAddon | undefined;
  /** Room for a batch. */
  readonly #room: Float64Array<ArrayBuffer>;
  #rows: Float64Array<ArrayBuffer>;
  /** The tensor that the first row describes. */
  #first = 0;
  #location = '';
  #locationStart = 0;
  #locationLength = 0;

  constructor(list: Messages<onnx.ITensorProto>, tape: NodeTape) {
    this.#list = list;
    this.#tape = tape;
    this.#addon = list instanceof MessageList ? loadNative() : undefined;
    const capacity = this.#addon === undefined ? 0 : Math.min(BATCH, list.length);
    this.#room = new Float64Array(capacity * ROW.LENGTH);
    this.#rows = this.#room.subarray(0, 0);
  }

  /** The header of tensor `index`; undefined for one that was decoded or made. */
  at(index: number): TensorHeader | undefined {
    const list = this.#list;
    if (list.mark(index) < 0) return undefined;
    return this.#ofRow(index) ?? tensorHeader(list.peek(index));
  }

  #ofRow(index: number): TensorHeader | undefined {
    if (this.#addon === undefined || !(this.#list instanceof MessageList)) return undefined;
    let at = (index - this.#first) * ROW.LENGTH;
    if (at < 0 || at >= this.#rows.length) {
      const { length } = this.#list;
      this.#describe(this.#addon, index, this.#list.place(index), length - index);
      this.#first = index;
      at = 0;
    }
    const rows = this.#rows;
    const state = rows[at + ROW.STATE] as number;
    if (state < 0) return undefined;
    const dims: number[] = [];
    const rank = rows[at + ROW.RANK] as number;
    for (let i = 0; i < rank; i++) dims.push(rows[at + ROW.DIMS + i] as number);
    const start = rows[at + ROW.START] as number;
    const byteLength = rows[at + ROW.BYTE_LENGTH] as number;
    const { buffer } = this.#tape.names;
    const dataType = rows[at + ROW.TYPE] as number;
    if (state !== STATE.EXTERNAL) {
      const rawByteLength = state === STATE.RAW ? byteLength : 0;
      return new RowHeader(buffer, dims, dataType, undefined, start, rawByteLength);
    }
    const location = this.#locationAt(
      rows[at + ROW.LOCATION_START] as number,
      rows[at + ROW.LOCATION_LENGTH] as number,
    );
    // A length of zero is one that is not given.
    const isPlain = rows[at + ROW.PLAIN] === 1;
    const place = { location, byteOffset: start, byteLength: byteLength || undefined, isPlain };
    return new RowHeader(buffer, dims, dataType, place, 0, 0);
  }

  /** Twice as many as last time where these follow those, else one: whoever jumps may jump again. */
  #describe(addon: NativeAddon, index: number, place: number, left: number): void {
    const before = this.#rows.length / ROW.LENGTH;
    const wanted = index === this.#first + before ? Math.max(1, 2 * before) : 1;
    this.#rows = this.#room.subarray(0, Math.min(BATCH, left, wanted) * ROW.LENGTH);
    addon.describeTensors(this.#tape.names.buffer, this.#tape.data, place, this.#rows);
  }

  /** The text of a location. That of the tensor before has the same start, wherever it is repeated. */
  #locationAt(start: number, length: number): string {
    if (start !== this.#locationStart || length !== this.#locationLength) {
      this.#location = readLossless(this.#tape.names.buffer, start, start + length);
      this.#locationStart = start;
      this.#locationLength = length;
    }
    return this.#location;
  }
}
