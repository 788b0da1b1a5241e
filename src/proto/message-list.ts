/**
 * Lists of messages that are made one by one, when something asks. Of a large graph an edit sees few of its nodes and
 * tensors, and a report next to none.
 */

import { DECODED, type NodeTape, PLACE } from './headers.ts';
import { varintByteLength } from './wire.ts';

/** A stretch of bytes with messages, their tags and lengths, as they are written one behind the other. */
interface Stretch {
  readonly bytes: Uint8Array;
  /** How many messages it has. */
  readonly count: number;
}

/** Messages by their place in a list. */
export interface Messages<Message> {
  readonly length: number;
  /** The message at `index`, the same object every time. */
  at(index: number): Message;
  /** The message at `index` for a look: one that was not made yet is not kept, and made again at the next. */
  peek(index: number): Message;
  /** What passing the message gave; {@link DECODED} for one that was decoded or made. */
  mark(index: number): number;
  /** The marks of all messages. */
  marks(): Int32Array;
  /** Messages that were decoded or made, in order: those in which more has to be seen. */
  decoded(): Iterable<number>;
  /**
   * Bytes of messages from `index` on that nothing has looked into, where those of the file are what would be written.
   * @param tag of the field that the list is, at most 127
   * @param movesValues whether values of tensors may go elsewhere than their messages say
   */
  stretch(index: number, tag: number, movesValues: boolean): Stretch | undefined;
  /** Every message, as a list to read and change. */
  all(): Message[];
}

/** A stretch ends when it has so many bytes. */
const STRETCH_BYTES = 64 * 1024;

/** How the messages of a list are. */
export interface ListEntry<Message> {
  /** What stands for the message noted at a place of the tape. */
  readonly make: (tape: NodeTape, at: number) => Message;
  /** Whether they have values, which may go elsewhere. */
  readonly hasValue: boolean;
}

/** A list of a file, whose messages stand on a tape. */
export class MessageList<Message> implements Messages<Message> {
  readonly length: number;
  readonly #tape: NodeTape;
  readonly #first: number;
  readonly #entry: ListEntry<Message>;
  readonly #decoded: readonly number[];
  #made: (Message | undefined)[];

  /**
   * @param first place of the first message on the tape
   * @param decoded the messages that had to be decoded at once, by their place in the list
   */
  constructor(
    tape: NodeTape,
    first: number,
    length: number,
    entry: ListEntry<Message>,
    decoded: ReadonlyMap<number, Message>,
  ) {
    this.#tape = tape;
    this.#first = first;
    this.length = length;
    this.#entry = entry;
    this.#decoded = [...decoded.keys()];
    this.#made = decoded.size === 0 ? [] : new Array(length);
    for (const [index, message] of decoded) this.#made[index] = message;
  }

  at(index: number): Message {
    if (this.#made.length === 0) this.#made = new Array(this.length);
    const known = this.#made[index];
    if (known !== undefined) return known;
    const message = this.#entry.make(this.#tape, this.place(index));
    this.#made[index] = message;
    return message;
  }

  peek(index: number): Message {
    return this.#made[index] ?? this.#entry.make(this.#tape, this.place(index));
  }

  /** Where message `index` is on the tape; those that follow are behind it. */
  place(index: number): number {
    return this.#first + index * PLACE.LENGTH;
  }

  mark(index: number): number {
    const place = this.place(index);
    const { decoded } = this.#tape;
    return decoded.size > 0 && decoded.has(place) ? DECODED : this.#tape.mark(place);
  }

  marks(): Int32Array {
    const { data, decoded } = this.#tape;
    const marks = new Int32Array(this.length);
    for (let index = 0, at = this.#first; index < marks.length; index++, at += PLACE.LENGTH) {
      marks[index] = data[at + PLACE.MARK] as number;
    }
    if (decoded.size > 0) {
      for (let index = 0; index < marks.length; index++) marks[index] = this.mark(index);
    }
    return marks;
  }

  decoded(): Iterable<number> {
    return this.#decoded;
  }

  stretch(index: number, tag: number, movesValues: boolean): Stretch | undefined {
    if (movesValues && this.#entry.hasValue) return undefined;
    const { data, names } = this.#tape;
    let count = 0;
    let first = 0;
    let end = 0;
    while (index + count < this.length && end - first < STRETCH_BYTES) {
      const place = this.place(index + count);
      const start = this.#taggedStart(place, tag);
      if (start === undefined || (count > 0 && start !== end)) break;
      if (count === 0) first = start;
      end = data[place + PLACE.END] as number;
      count++;
    }
    return count === 0 ? undefined : { bytes: names.buffer.subarray(first, end), count };
  }

  /** Where a message with its tag and length begins; undefined for one that has to be written anew. */
  #taggedStart(place: number, tag: number): number | undefined {
    const { data, decoded, names } = this.#tape;
    if (data[place + PLACE.MARK] === DECODED || decoded.has(place)) return undefined;
    const start = data[place + PLACE.START] as number;
    const byteLength = (data[place + PLACE.END] as number) - start;
    // A length that takes more bytes than it needs has one of 128 and more here, which is no tag of these.
    const tagged = start - varintByteLength(byteLength) - 1;
    return names.buffer[tagged] === tag ? tagged : undefined;
  }

  all(): Message[] {
    for (let index = 0; index < this.length; index++) this.at(index);
    return this.#made as Message[];
  }
}

/** A list that is there already. */
export class PlainList<Message> implements Messages<Message> {
  readonly #list: Message[];
  readonly #markOf: (message: Message) => number;

  constructor(list: Message[], markOf: (message: Message) => number) {
    this.#list = list;
    this.#markOf = markOf;
  }

  get length(): number {
    return this.#list.length;
  }

  at(index: number): Message {
    return this.#list[index] as Message;
  }

  peek(index: number): Message {
    return this.at(index);
  }

  mark(index: number): number {
    return this.#markOf(this.at(index));
  }

  marks(): Int32Array {
    return Int32Array.from(this.#list, this.#markOf);
  }

  *decoded(): Iterable<number> {
    for (const [index, message] of this.#list.entries()) {
      if (this.#markOf(message) === DECODED) yield index;
    }
  }

  stretch(): undefined {
    return undefined;
  }

  all(): Message[] {
    return this.#list;
  }
}

const lists = new WeakMap<object, Map<string, Messages<unknown>>>();

/** Makes `property` of `owner` the list, which it becomes when something reads it. */
export function attachList(owner: object, property: string, list: Messages<unknown>): void {
  const known = lists.get(owner) ?? new Map<string, Messages<unknown>>();
  if (known.size === 0) lists.set(owner, known);
  known.set(property, list);
  const settle = (value: unknown) => {
    known.delete(property);
    Object.defineProperty(owner, property, {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    });
    return value;
  };
  Object.defineProperty(owner, property, {
    configurable: true,
    enumerable: true,
    get: () => settle(list.all()),
    set: settle,
  });
}

/** The list that `property` of `owner` will be, if nothing has read it yet. */
export function attachedList(owner: object, property: string): Messages<unknown> | undefined {
  return lists.get(owner)?.get(property);
}
