/**
 * Messages that are decoded when something looks into them. A graph has thousands of nodes, tensors and entries of
 * `value_info`, and an edit touches a few: the others stay the bytes they were, on the way in and on the way out.
 */

import type protobuf from 'protobufjs/minimal.js';
import { FormatError, LatheError } from '../errors.ts';
import {
  EXTERNAL,
  type ExternalHeader,
  type NodeHeader,
  readExternalHeader,
  readInfoName,
  readNodeHeader,
} from './headers.ts';
import { onnx } from './onnx.js';
import { LosslessReader } from './strings.ts';

/** The functions that pbjs generates for a message type. */
interface Codec<Message extends object> {
  new (): Message;
  encode(message: Message, writer?: protobuf.Writer): protobuf.Writer;
  decode(reader: protobuf.Reader | Uint8Array, length?: number): Message;
}

/**
 * Stands where a message stands, until something reads or writes one of its fields: then it decodes them all. Its
 * accessors are those that {@link defer} defines.
 */
class Deferred<Message, Header> {
  /** What is known without decoding. */
  readonly header: Header;
  readonly #decode: (bytes: Uint8Array) => Message;
  readonly #buffer: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  #message: Message | undefined;

  constructor(
    decode: (bytes: Uint8Array) => Message,
    header: Header,
    buffer: Uint8Array,
    start: number,
    end: number,
  ) {
    this.header = header;
    this.#decode = decode;
    this.#buffer = buffer;
    this.#start = start;
    this.#end = end;
  }

  /** True while the message is the bytes it came as. */
  get isUntouched(): boolean {
    return this.#message === undefined;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  get message(): Message {
    this.#message ??= this.#decode(this.bytes);
    return this.#message;
  }
}

class DeferredNode extends Deferred<onnx.NodeProto, NodeHeader> {}
class DeferredTensor extends Deferred<onnx.TensorProto, ExternalHeader> {}
class DeferredInfo extends Deferred<onnx.ValueInfoProto, string> {}

/**
 * Makes the generated code of a message type defer its messages where it reads from a {@link LosslessReader}.
 * @param readHeader reads what is wanted at once; undefined where the whole message is
 */
function defer<Message extends object, Header>(
  codec: Codec<Message>,
  // biome-ignore lint/suspicious/noExplicitAny: the class of the message type, whatever its parameters
  type: new (...parameters: any[]) => Deferred<Message, Header>,
  readHeader: (reader: LosslessReader, end: number) => Header | undefined,
): void {
  const { decode, encode } = codec;
  for (const field of [...Object.keys(codec.prototype as Message), '$unknowns']) {
    const key = field as keyof Message;
    Object.defineProperty(type.prototype, field, {
      enumerable: true,
      get(this: Deferred<Message, Header>) {
        return this.message[key];
      },
      set(this: Deferred<Message, Header>, value) {
        this.message[key] = value;
      },
    });
  }
  const decodeLater = (bytes: Uint8Array): Message => {
    try {
      return decode(new LosslessReader(bytes));
    } catch (cause) {
      if (cause instanceof LatheError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      const what = `a part of the graph is not valid protobuf (${reason})`;
      throw new FormatError('ERR_PROTOBUF', what, { cause });
    }
  };
  codec.decode = (reader, length, ...rest: []) => {
    if (!(reader instanceof LosslessReader) || length === undefined) {
      return decode(reader, length, ...rest);
    }
    const start = reader.pos;
    const end = start + length;
    if (end > reader.len) throw new RangeError('index out of range');
    const header = readHeader(reader, end);
    if (header === undefined) {
      reader.pos = start;
      return decode(reader, length, ...rest);
    }
    if (reader.pos !== end) throw new RangeError('index out of range');
    return new type(decodeLater, header, reader.buf, start, end) as unknown as Message;
  };
  codec.encode = (message, writer, ...rest: []) => {
    if (!(message instanceof type)) return encode(message, writer, ...rest);
    if (writer === undefined || !message.isUntouched) {
      return encode(message.message, writer, ...rest);
    }
    return writer.raw(message.bytes);
  };
}

defer(onnx.NodeProto as Codec<onnx.NodeProto>, DeferredNode, readNodeHeader);
defer(onnx.TensorProto as Codec<onnx.TensorProto>, DeferredTensor, readExternalHeader);
defer(onnx.ValueInfoProto as Codec<onnx.ValueInfoProto>, DeferredInfo, readInfoName);

/** Names and operator of a node; reading them decodes nothing. */
export function nodeHeader(node: onnx.INodeProto): NodeHeader {
  return node instanceof DeferredNode && node.isUntouched ? node.header : node;
}

/** True for a node that came from a file and certainly has no tensor and no graph in it. */
export function isPlainNode(node: onnx.INodeProto): boolean {
  return node instanceof DeferredNode && node.isUntouched;
}

/** Name of an entry of `value_info`; reading it decodes nothing. */
export function infoName(info: onnx.IValueInfoProto): string {
  return (info instanceof DeferredInfo && info.isUntouched ? info.header : info.name) ?? '';
}

/** Type, shape and place of a tensor in external data, where they are known without decoding. */
export function externalHeader(tensor: onnx.ITensorProto): ExternalHeader | undefined {
  return tensor instanceof DeferredTensor && tensor.isUntouched ? tensor.header : undefined;
}

/** Name of a tensor; reading it decodes nothing. */
export function tensorName(tensor: onnx.ITensorProto): string {
  return externalHeader(tensor)?.name ?? tensor.name ?? '';
}

/** Whether the value of a tensor is in external data; decodes nothing. */
export function isExternal(tensor: onnx.ITensorProto): boolean {
  return externalHeader(tensor) !== undefined || tensor.dataLocation === EXTERNAL;
}
