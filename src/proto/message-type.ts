/**
 * Message types made from a table of their fields. A message is an object with a property for every field it has;
 * what it has not, its prototype answers with the default. Fields that are not in the table are kept and written last.
 */

import type { Int64 } from './int64.ts';
import { DEPTH_LIMIT } from './limits.ts';
import { attachedList, type Messages } from './message-list.ts';
import { LosslessReader } from './reader.ts';
import { WireType } from './wire.ts';
import { LosslessWriter } from './writer.ts';

const SCALARS = ['string', 'bytes', 'int32', 'int64', 'uint64', 'float', 'double'] as const;
type Scalar = (typeof SCALARS)[number];

/** How often a field may stand in its message, and whether its numbers are written in one piece. */
type Rule = 'repeated' | 'packed';

/**
 * A field: number, property, a scalar or the name of a message type, rule, and the `oneof` that it belongs to, of
 * whose fields a message has the last that was read.
 */
export type FieldRow = readonly [
  number: number,
  name: string,
  content: string,
  rule?: Rule | '',
  oneof?: string,
];

/** Fields by the name of the message type, in the order in which they are written. */
export type MessageTable = Readonly<Record<string, readonly FieldRow[]>>;

/** A message type: its class, and how messages of it become bytes and come from them. */
export interface MessageType<Shape extends object, Message extends Shape> {
  new (properties?: Shape): Message;
  readonly prototype: Message;
  /** Appends the fields of `message` to `writer`. Throws when messages are nested too deep. */
  encode(message: Shape, writer?: LosslessWriter, depth?: number): LosslessWriter;
  /**
   * Reads a message: the next `length` bytes, or all there is.
   * @param target the message that a second occurrence of a field is merged into
   */
  decode(
    source: LosslessReader | Uint8Array,
    length?: number,
    depth?: number,
    target?: Shape | null,
  ): Message;
}

type Properties = Record<string, unknown>;
type AnyType = MessageType<Properties, Properties>;

/** A field, ready to be read and written. */
interface Field {
  readonly name: string;
  readonly scalar: Scalar | undefined;
  readonly type: AnyType | undefined;
  readonly isRepeated: boolean;
  readonly isPacked: boolean;
  /** Of one element. */
  readonly wireType: number;
  /** Number × 8 + the wire type that is written. */
  readonly tag: number;
  /** The other fields of its `oneof`. */
  readonly others: readonly string[];
}

function wireTypeOf(scalar: Scalar | undefined): number {
  switch (scalar) {
    case 'int32':
    case 'int64':
    case 'uint64':
      return WireType.VARINT;
    case 'float':
      return WireType.I32;
    case 'double':
      return WireType.I64;
    default:
      return WireType.LEN;
  }
}

function defaultOf({ isRepeated, scalar, type }: Field): unknown {
  if (isRepeated) return Object.freeze([]);
  if (type !== undefined) return null;
  if (scalar === 'string') return '';
  return scalar === 'bytes' ? Buffer.alloc(0) : 0;
}

function readScalar(reader: LosslessReader, scalar: Scalar): unknown {
  switch (scalar) {
    case 'string':
      return reader.string();
    case 'bytes':
      return reader.bytes();
    case 'int32':
      return reader.int32();
    case 'int64':
      return reader.int64();
    case 'uint64':
      return reader.uint64();
    case 'float':
      return reader.float();
    case 'double':
      return reader.double();
  }
}

function readPacked(reader: LosslessReader, scalar: Scalar, list: unknown[]): void {
  if (scalar === 'float') reader.floats(list as number[]);
  else if (scalar === 'double') reader.doubles(list as number[]);
  else if (scalar === 'int32') reader.varints(list as number[], reader.int32);
  else reader.varints(list as Int64[], scalar === 'int64' ? reader.int64 : reader.uint64);
}

/** The list of a repeated field, made when there is none. */
function listOf(message: Properties, name: string): unknown[] {
  const known = message[name] as unknown[] | undefined;
  if (known !== undefined && known.length > 0) return known;
  const list: unknown[] = [];
  message[name] = list;
  return list;
}

/** Reads the value of a field into `message`; false, with nothing read, for a wire type that the field cannot have. */
function readField(
  reader: LosslessReader,
  field: Field,
  wireType: number,
  message: Properties,
  depth: number,
): boolean {
  const { name, scalar, type, isRepeated } = field;
  if (wireType !== field.wireType) {
    if (!isRepeated || wireType !== WireType.LEN || scalar === undefined) return false;
    readPacked(reader, scalar, listOf(message, name));
    return true;
  }
  if (type === undefined) {
    const value = readScalar(reader, scalar as Scalar);
    if (isRepeated) listOf(message, name).push(value);
    else message[name] = value;
  } else if (isRepeated) {
    const list = listOf(message, name);
    list.push(type.decode(reader, reader.size(), depth + 1));
  } else {
    const target = message[name] as Properties | null;
    message[name] = type.decode(reader, reader.size(), depth + 1, target);
  }
  for (const other of field.others) delete message[other];
  return true;
}

function writeScalar(writer: LosslessWriter, scalar: Scalar, value: unknown): void {
  switch (scalar) {
    case 'string':
      writer.string(value as string);
      return;
    case 'bytes':
      writer.bytes(value as Uint8Array);
      return;
    case 'int32':
      writer.int32(value as number);
      return;
    case 'float':
      writer.float(value as number);
      return;
    case 'double':
      writer.double(value as number);
      return;
    default:
      writer.int64(value as Int64);
  }
}

function writePacked(writer: LosslessWriter, scalar: Scalar | undefined, values: unknown[]): void {
  if (scalar === 'float') writer.floats(values as number[]);
  else if (scalar === 'double') writer.doubles(values as number[]);
  else writer.int64s(values as Int64[]);
}

function writeElement(writer: LosslessWriter, field: Field, value: unknown, depth: number): void {
  writer.uint32(field.tag);
  if (field.type === undefined) writeScalar(writer, field.scalar as Scalar, value);
  else field.type.encode(value as Properties, writer.fork(), depth + 1).ldelim();
}

function writeField(
  writer: LosslessWriter,
  field: Field,
  message: Properties,
  depth: number,
): void {
  const { name } = field;
  if (field.isRepeated) {
    const attached = attachedList(message, name);
    if (attached === undefined) writeRepeated(writer, field, message[name], depth);
    else writeList(writer, field, attached, depth);
    return;
  }
  const value = message[name];
  if (value === null || value === undefined || !Object.hasOwn(message, name)) return;
  writeElement(writer, field, value, depth);
}

function writeRepeated(writer: LosslessWriter, field: Field, value: unknown, depth: number): void {
  const list = (value ?? []) as unknown[];
  if (list.length === 0) return;
  if (field.isPacked) writePacked(writer.uint32(field.tag), field.scalar, list);
  else for (const element of list) writeElement(writer, field, element, depth);
}

/** Writes messages without making those that nothing has looked into. */
function writeList(
  writer: LosslessWriter,
  field: Field,
  list: Messages<unknown>,
  depth: number,
): void {
  for (let index = 0; index < list.length; ) {
    const stretch = list.stretch(index, field.tag, writer.movesValues);
    if (stretch !== undefined) writer.messages(stretch.bytes);
    else writeElement(writer, field, list.peek(index), depth);
    index += stretch?.count ?? 1;
  }
}

/** Notes the bytes of a field that the table does not have. */
function keepUnknown(message: Properties, bytes: Uint8Array): void {
  const known = message['$unknowns'] as Uint8Array[] | undefined;
  if (known !== undefined) known.push(bytes);
  else Object.defineProperty(message, '$unknowns', { value: [bytes], writable: true });
}

/** The fields of a message type. */
interface Fields {
  /** In the order in which they are written. */
  readonly fields: Field[];
  readonly byNumber: (Field | undefined)[];
  /** Names of the repeated ones. */
  readonly lists: string[];
}

/** The class of a message type whose fields {@link defineMessages} adds once all types are there. */
function messageType(name: string, { fields, byNumber, lists }: Fields): AnyType {
  const type = class {
    constructor(properties?: Properties) {
      const message = this as Properties;
      for (const list of lists) message[list] = [];
      if (properties === undefined) return;
      for (const key of Object.keys(properties)) {
        if (properties[key] != null) message[key] = properties[key];
      }
    }

    static encode(message: Properties, writer = new LosslessWriter(), depth = 0): LosslessWriter {
      if (depth > DEPTH_LIMIT) throw new Error('max depth exceeded');
      for (const field of fields) writeField(writer, field, message, depth);
      if (Object.hasOwn(message, '$unknowns')) {
        for (const bytes of message['$unknowns'] as Uint8Array[]) writer.raw(bytes);
      }
      return writer;
    }

    static decode(
      source: LosslessReader | Uint8Array,
      length?: number,
      depth = 0,
      target?: Properties | null,
    ): Properties {
      if (depth > DEPTH_LIMIT) throw new Error('max depth exceeded');
      const reader = source instanceof LosslessReader ? source : new LosslessReader(source);
      const outer = reader.len;
      const end = length === undefined ? outer : reader.pos + length;
      if (end > outer) throw new RangeError('index out of range');
      reader.len = end;
      const message = target ?? (new type() as Properties);
      while (reader.pos < end) {
        const start = reader.pos;
        const tag = reader.tag();
        const field = byNumber[tag >>> 3];
        if (field !== undefined && readField(reader, field, tag & 7, message, depth)) continue;
        reader.skipType(tag & 7, depth, tag >>> 3);
        keepUnknown(message, reader.raw(start, reader.pos));
      }
      reader.len = outer;
      return message;
    }
  };
  Object.defineProperty(type, 'name', { value: name });
  return type as unknown as AnyType;
}

function makeField(
  [number, name, content, rule, oneof]: FieldRow,
  rows: readonly FieldRow[],
  types: ReadonlyMap<string, AnyType>,
): Field {
  const scalar = SCALARS.find((known) => known === content);
  const type = types.get(content);
  if (scalar === undefined && type === undefined) throw new Error(`no type ${content}`);
  const isPacked = rule === 'packed';
  const wireType = wireTypeOf(scalar);
  const others = oneof === undefined ? [] : rows.filter((row) => row[4] === oneof);
  return {
    ...{ name, scalar, type, isPacked, wireType },
    isRepeated: isPacked || rule === 'repeated',
    tag: number * 8 + (isPacked ? WireType.LEN : wireType),
    others: others.map((row) => row[1]).filter((other) => other !== name),
  };
}

/** Makes the types of a table. One within another, `TypeProto.Tensor`, is a property of that. */
export function defineMessages(table: MessageTable): Record<string, AnyType> {
  const types = new Map<string, AnyType>();
  const fieldsOf = new Map<string, Fields>();
  const outermost: Record<string, AnyType> = {};
  for (const path of Object.keys(table)) {
    const fields: Fields = { fields: [], byNumber: [], lists: [] };
    const [name = '', inner] = path.split('.');
    const type = messageType(inner ?? name, fields);
    types.set(path, type);
    fieldsOf.set(path, fields);
    if (inner === undefined) outermost[name] = type;
    else Object.assign(outermost[name] as AnyType, { [inner]: type });
  }
  for (const [path, { fields, byNumber, lists }] of fieldsOf) {
    const rows = table[path] as readonly FieldRow[];
    const { prototype } = types.get(path) as AnyType;
    for (const row of rows) {
      const field = makeField(row, rows, types);
      fields.push(field);
      byNumber[field.tag >>> 3] = field;
      if (field.isRepeated) lists.push(field.name);
      prototype[field.name] = defaultOf(field);
    }
  }
  return outermost;
}
