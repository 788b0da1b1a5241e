/**
 * Messages that are decoded when something looks into them. A graph has thousands of nodes, tensors and entries of
 * `value_info`, and an edit touches a few: the others stay the bytes they were, on the way in and on the way out.
 */

import type protobuf from 'protobufjs/minimal.js';
import { FormatError, LatheError } from '../errors.ts';
import {
  EXTERNAL,
  type NodeTape,
  passNode,
  passTensor,
  readInfoName,
  readTensorHeader,
  type TensorHeader,
} from './headers.ts';
import { onnx } from './onnx.js';
import { LosslessReader } from './strings.ts';

/** The functions that pbjs generates for a message type. */
export interface Codec<Message extends object> {
  new (): Message;
  encode(message: Message, writer?: protobuf.Writer, depth?: number): protobuf.Writer;
  /** `target` is the message that a second occurrence of a singular field is merged into. */
  decode(
    reader: protobuf.Reader | Uint8Array,
    length?: number,
    end?: number,
    depth?: number,
    target?: Message,
  ): Message;
}

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
 * Makes the generated code of a message type defer its messages where it reads from a reader with a tape.
 * @param pass passes a message and returns its mark; undefined where it is to be decoded at once
 */
function defer<Message extends object>(
  codec: Codec<Message>,
  // biome-ignore lint/suspicious/noExplicitAny: the class of the message type, whatever its parameters
  type: new (...parameters: any[]) => Deferred<Message>,
  pass: (reader: LosslessReader, end: number, tape: NodeTape) => number | undefined,
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
  codec.decode = (reader, length, endTag, depth, target) => {
    const tape = reader instanceof LosslessReader ? reader.tape : undefined;
    const isDeferrable = tape !== undefined && length !== undefined && target === undefined;
    if (!(reader instanceof LosslessReader) || !isDeferrable) {
      const into = target instanceof type ? target.message : target;
      return decode(reader, length, endTag, depth, into);
    }
    const start = reader.pos;
    const end = start + length;
    if (end > reader.len) throw new RangeError('index out of range');
    const mark = pass(reader, end, tape);
    if (mark === undefined) {
      reader.pos = start;
      return decode(reader, length, endTag, depth);
    }
    if (reader.pos !== end) throw new RangeError('index out of range');
    return new type(tape, tape.addPlace(mark, start, end)) as unknown as Message;
  };
  codec.encode = (message, writer, depth) => {
    if (!(message instanceof type)) return encode(message, writer, depth);
    if (writer === undefined || !message.isUntouched) {
      return encode(message.message, writer, depth);
    }
    return writer.raw(message.bytes);
  };
}

function passInfo(reader: LosslessReader, end: number): number {
  reader.pos = end;
  return 0;
}

defer(onnx.NodeProto as Codec<onnx.NodeProto>, DeferredNode, passNode);
defer(onnx.TensorProto as Codec<onnx.TensorProto>, DeferredTensor, passTensor);
defer(onnx.ValueInfoProto as Codec<onnx.ValueInfoProto>, DeferredInfo, passInfo);

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

/** Type, shape and place of a tensor that nothing has changed yet; undefined for one that was decoded or made. */
export function tensorHeader(tensor: onnx.ITensorProto): TensorHeader | undefined {
  if (!(tensor instanceof DeferredTensor) || !tensor.isUntouched) return undefined;
  return tensor.read(readTensorHeader);
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
