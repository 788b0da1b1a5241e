/**
 * Messages that are decoded when something looks into them. A graph has thousands of nodes, tensors and entries of
 * `value_info`, and an edit touches a few: the others stay the bytes they were, on the way in and on the way out.
 */

import { FormatError, LatheError } from '../errors.ts';
import { indexGraph, LISTS, type ListFields, passTensor } from './graph-index.ts';
import {
  DECODED,
  EXTERNAL,
  type NodeTape,
  PLACE,
  readInfoName,
  readTensorHeader,
  requireEnd,
  type TensorHeader,
} from './headers.ts';
import { DEPTH_LIMIT } from './limits.ts';
import type { MessageType } from './message-fields.ts';
import {
  attachedList,
  attachList,
  type ListEntry,
  MessageList,
  type Messages,
  PlainList,
} from './message-list.ts';
import { onnx } from './onnx.ts';
import { LosslessReader } from './reader.ts';

/**
 * Stands where a message stands, until something reads or writes one of its fields: then it decodes them all. Its
 * accessors are those that {@link defer} defines.
 */
abstract class Deferred<Message> {
  // Two fields: a graph may have a million of these.
  readonly #tape: NodeTape;
  readonly #at: number;

  /** @param at place of its record on the tape */
  constructor(tape: NodeTape, at: number) {
    this.#tape = tape;
    this.#at = at;
  }

  /** Decodes the message that `reader` holds. */
  protected abstract decode(reader: LosslessReader): Message;

  /** Where its record is on the tape: what stands for one message has one place, however many there are. */
  get place(): number {
    return this.#at;
  }

  /** What passing the message gave: its place on the tape, or the number of its name. */
  get mark(): number {
    return this.#tape.mark(this.#at);
  }

  /** True while the message is the bytes it came as. */
  get isUntouched(): boolean {
    return !this.#tape.decoded.has(this.#at);
  }

  get bytes(): Uint8Array {
    return this.#tape.bytes(this.#at);
  }

  get message(): Message {
    const { decoded } = this.#tape;
    if (!decoded.has(this.#at)) {
      decoded.set(this.#at, this.#decode());
    }
    return decoded.get(this.#at) as Message;
  }

  /** The message, decoded for once where nothing has looked into it. */
  get glance(): Message {
    const known = this.#tape.decoded.get(this.#at);
    return (known as Message | undefined) ?? this.#decode();
  }

  #decode(): Message {
    return this.read(() => this.decode(new LosslessReader(this.bytes)));
  }

  /** Reads from the bytes of the message. Throws a FormatError when they are damaged. */
  read<Result>(from: (reader: LosslessReader) => Result): Result {
    try {
      return from(this.#tape.reader(this.#at));
    } catch (cause) {
      throw damaged(this.#tape.fileName, cause);
    }
  }

  /** The name with this number. */
  protected nameOf(id: number): string {
    return this.#tape.names.peek(id);
  }
}

const plain = {
  node: onnx.NodeProto.decode,
  tensor: onnx.TensorProto.decode,
  info: onnx.ValueInfoProto.decode,
};

class DeferredNode extends Deferred<onnx.NodeProto> {
  protected override decode(reader: LosslessReader): onnx.NodeProto {
    return plain.node(reader);
  }
}

class DeferredTensor extends Deferred<onnx.TensorProto> {
  /** The name, without decoding. */
  get nameAsRead(): string {
    return this.nameOf(this.mark);
  }

  protected override decode(reader: LosslessReader): onnx.TensorProto {
    return plain.tensor(reader);
  }
}

class DeferredInfo extends Deferred<onnx.ValueInfoProto> {
  protected override decode(reader: LosslessReader): onnx.ValueInfoProto {
    return plain.info(reader);
  }
}

function damaged(fileName: string, cause: unknown): LatheError {
  if (cause instanceof LatheError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const what = `${fileName}: a part of the graph is not valid protobuf (${reason})`;
  return new FormatError('ERR_PROTOBUF', what, { cause });
}

/**
 * Gives stand-ins the fields of their messages, and makes a message type write those that are
 * untouched as they came.
 */
function defer<Shape extends object, Message extends Shape>(
  codec: MessageType<Shape, Message>,
  // biome-ignore lint/suspicious/noExplicitAny: the class of the message type, whatever its parameters
  type: new (...parameters: any[]) => Deferred<Message>,
): void {
  const { decode, encode } = codec;
  for (const field of [...Object.keys(codec.prototype as Message), '$unknowns']) {
    const key = field as keyof Message;
    Object.defineProperty(type.prototype, field, {
      enumerable: true,
      get(this: Deferred<Message>) {
        return this.message[key];
      },
      set(this: Deferred<Message>, value) {
        this.message[key] = value;
      },
    });
  }
  codec.decode = (source, length, depth, target) => {
    const into = target instanceof type ? target.message : target;
    return decode(source, length, depth, into);
  };
  codec.encode = (message, writer, depth) => {
    if (!(message instanceof type)) return encode(message, writer, depth);
    if (writer === undefined || !message.isUntouched) {
      return encode(message.message, writer, depth);
    }
    return writer.raw(message.bytes);
  };
}

defer(onnx.NodeProto, DeferredNode);
defer(onnx.TensorProto, DeferredTensor);
defer(onnx.ValueInfoProto, DeferredInfo);

/** Tensors that are not initializers are deferred where they are met. */
function deferTensors(codec: typeof onnx.TensorProto): void {
  const { decode } = codec;
  codec.decode = (reader, length, depth, target) => {
    const tape = reader instanceof LosslessReader ? reader.tape : undefined;
    const isDeferrable = tape !== undefined && length !== undefined && !target;
    if (!(reader instanceof LosslessReader) || !isDeferrable) {
      return decode(reader, length, depth, target);
    }
    const start = reader.pos;
    const end = start + length;
    if (end > reader.len) throw new RangeError('index out of range');
    const mark = passTensor(reader, end, tape);
    if (mark === DECODED) {
      reader.pos = start;
      return decode(reader, length, depth);
    }
    requireEnd(reader, end);
    return new DeferredTensor(tape, tape.addPlace(mark, start, end)) as unknown as onnx.TensorProto;
  };
}

deferTensors(onnx.TensorProto);

/** How the messages of a list are made, and how those are decoded in which more has to be seen. */
interface Entry extends ListEntry<object> {
  readonly decode: (reader: LosslessReader, byteLength: number, depth: number) => object;
}

const INFO_ENTRY: Entry = {
  make: (tape, at) => new DeferredInfo(tape, at),
  decode: plain.info,
  hasValue: false,
};

/** In the order of LISTS. */
const ENTRIES: readonly Entry[] = [
  { make: (tape, at) => new DeferredNode(tape, at), decode: plain.node, hasValue: false },
  { make: (tape, at) => new DeferredTensor(tape, at), decode: plain.tensor, hasValue: true },
  INFO_ENTRY,
  INFO_ENTRY,
  INFO_ENTRY,
];

/**
 * Makes the message type of a graph or a function defer what is in its lists where it reads from a tape, and write
 * lists that nothing has read without making them.
 */
function deferLists<Shape extends object, Message extends Shape>(
  codec: MessageType<Shape, Message>,
  fields: ListFields,
): void {
  const { decode } = codec;
  codec.decode = (reader, length, depth = 0, target = undefined) => {
    const tape = reader instanceof LosslessReader ? reader.tape : undefined;
    const isDeferrable = tape !== undefined && length !== undefined && !target;
    const isTooDeep = depth > DEPTH_LIMIT;
    if (!(reader instanceof LosslessReader) || !isDeferrable || isTooDeep) {
      return decode(reader, length, depth, target);
    }
    const start = reader.pos;
    const end = start + length;
    if (end > reader.len) throw new RangeError('index out of range');
    const { at, counts, others } = indexGraph(tape, start, end, fields);
    const message = new codec();
    for (let i = 0; i < others.length; i += 2) {
      reader.pos = others[i] as number;
      decode(reader, (others[i + 1] as number) - reader.pos, depth, message);
    }
    let first = at;
    for (const [list, name] of LISTS.entries()) {
      const count = counts[list] as number;
      if (count === 0) continue;
      const entry = ENTRIES[list] as Entry;
      const decoded = decodeMarked(reader, tape, first, count, (bytes) =>
        entry.decode(reader, bytes, depth + 1),
      );
      attachList(message, name, new MessageList<object>(tape, first, count, entry, decoded));
      first += count * PLACE.LENGTH;
    }
    reader.pos = end;
    return message;
  };
}

/** Decodes those of `count` messages that the tape marks for it, by their place among them. */
function decodeMarked<Message>(
  reader: LosslessReader,
  tape: NodeTape,
  first: number,
  count: number,
  decode: (byteLength: number) => Message,
): Map<number, Message> {
  const decoded = new Map<number, Message>();
  let { data } = tape;
  for (let index = 0, place = first; index < count; index++, place += PLACE.LENGTH) {
    if (data[place + PLACE.MARK] !== DECODED) continue;
    reader.pos = data[place + PLACE.START] as number;
    decoded.set(index, decode((data[place + PLACE.END] as number) - reader.pos));
    // What was in the message may have moved the tape.
    data = tape.data;
  }
  return decoded;
}

deferLists(onnx.GraphProto, [1, 5, 11, 12, 13]);
deferLists(onnx.FunctionProto, [7, 0, 0, 0, 12]);

type NodeOwner = onnx.IGraphProto | onnx.IFunctionProto;

/** The nodes of a graph or function. The mark of one is where its record is on the tape. */
export function nodesOf(owner: NodeOwner): Messages<onnx.INodeProto> {
  const attached = attachedList(owner, 'node') as Messages<onnx.INodeProto> | undefined;
  return attached ?? new PlainList(owner.node ?? [], markOf);
}

/** The initializers of a graph. The mark of one is the number of its name. */
export function initializersOf(owner: onnx.IGraphProto): Messages<onnx.ITensorProto> {
  const attached = attachedList(owner, 'initializer') as Messages<onnx.ITensorProto> | undefined;
  return attached ?? new PlainList(owner.initializer ?? [], markOf);
}

/** The inputs or outputs of a graph. The mark of one is the number of its name. */
export function interfaceOf(
  owner: onnx.IGraphProto,
  side: 'input' | 'output',
): Messages<onnx.IValueInfoProto> {
  const attached = attachedList(owner, side) as Messages<onnx.IValueInfoProto> | undefined;
  // What an entry of value_info is marked with is no name, and one may have come to stand here.
  return attached ?? new PlainList(owner[side] ?? [], () => DECODED);
}

function markOf(message: object): number {
  return message instanceof Deferred && message.isUntouched ? message.mark : DECODED;
}

/** Where a node is on the tape that it was decoded with; undefined for one that was decoded or made. */
export function tapeRecord(node: onnx.INodeProto): number | undefined {
  return node instanceof DeferredNode ? node.mark : undefined;
}

/** True for a node that came from a file and certainly has no tensor and no graph in it. */
export function isPlainNode(node: onnx.INodeProto): boolean {
  return node instanceof DeferredNode && node.isUntouched;
}

/** The message for a look: one that is not decoded yet does not stay decoded, so changes to it would be lost. */
export function peek<Message extends object>(message: Message): Message {
  return message instanceof Deferred ? (message.glance as Message) : message;
}

/** Name of an entry of `value_info`; reading it decodes nothing. */
export function infoName(info: onnx.IValueInfoProto): string {
  if (!(info instanceof DeferredInfo) || !info.isUntouched) return info.name ?? '';
  return info.read((reader) => readInfoName(reader, reader.len));
}

/** Whether a tensor still is the bytes it came as. */
export function isUntouched(tensor: onnx.ITensorProto): boolean {
  return tensor instanceof DeferredTensor && tensor.isUntouched;
}

/** Type, shape and place of a tensor that nothing has changed yet; undefined for one that was decoded or made. */
export function tensorHeader(tensor: onnx.ITensorProto): TensorHeader | undefined {
  if (!(tensor instanceof DeferredTensor) || !tensor.isUntouched) return undefined;
  return tensor.read(readTensorHeader);
}

/** Where the record of a tensor is on the tape it was read from; undefined for one that was decoded at once or made. */
export function tensorPlace(tensor: onnx.ITensorProto): number | undefined {
  return tensor instanceof DeferredTensor ? tensor.place : undefined;
}

/** Number on `tape` of the name of a tensor. */
export function tensorNameId(tensor: onnx.ITensorProto, tape: NodeTape): number {
  return tensor instanceof DeferredTensor && tensor.isUntouched
    ? tensor.mark
    : tape.names.internText(tensor.name ?? '');
}

/** Name of a tensor; reading it decodes nothing. */
export function tensorName(tensor: onnx.ITensorProto): string {
  return tensor instanceof DeferredTensor && tensor.isUntouched
    ? tensor.nameAsRead
    : (tensor.name ?? '');
}

/** Whether the value of a tensor is in external data; decodes nothing. */
export function isExternal(tensor: onnx.ITensorProto): boolean {
  const header = tensorHeader(tensor);
  if (header !== undefined) return header.externalData !== undefined;
  return tensor.dataLocation === EXTERNAL;
}
