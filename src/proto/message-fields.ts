/** The fields of messages: what a table says of them, how each is read into a message and written from it. */

import type { Int64 } from './int64.ts';
import { attachedList, type Messages } from './message-list.ts';
import type { LosslessReader } from './reader.ts';
import { WireType } from './wire.ts';
import type { LosslessWriter } from './writer.ts';

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

export type Properties = Record<string, unknown>;
export type AnyType = MessageType<Properties, Properties>;

/** A field, ready to be read and written. */
export interface Field {
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

/** What a message answers that lacks the field. */
export function defaultOf({ isRepeated, scalar, type }: Field): unknown {
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
export function readField(
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
  else if (scalar === 'int32') writer.int64s((values as number[]).map((value) => value | 0));
  else writer.int64s(values as Int64[]);
}

function writeElement(writer: LosslessWriter, field: Field, value: unknown, depth: number): void {
  writer.uint32(field.tag);
  if (field.type === undefined) writeScalar(writer, field.scalar as Scalar, value);
  else field.type.encode(value as Properties, writer.fork(), depth + 1).ldelim();
}

export function writeField(
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

/** The field of a row. Throws an Error for a type that is not there. */
export function makeField(
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
