/**
 * Message types made from a table of their fields. A message is an object with a property for every field it has;
 * what it has not, its prototype answers with the default. Fields that are not in the table are kept and written last.
 */

import { DEPTH_LIMIT } from './limits.ts';
import {
  type AnyType,
  defaultOf,
  type Field,
  type FieldRow,
  makeField,
  type Properties,
  readField,
  writeField,
} from './message-fields.ts';
import { LosslessReader } from './reader.ts';
import { LosslessWriter } from './writer.ts';

/** Fields by the name of the message type, in the order in which they are written. */
type MessageTable = Readonly<Record<string, readonly FieldRow[]>>;

/** Notes the bytes of a field that the table does not have. */
function keepUnknown(message: Properties, bytes: Uint8Array): void {
  const known = message['$unknowns'] as Uint8Array[] | undefined;
  if (known !== undefined) known.push(bytes);
  else {
    const property = { value: [bytes], writable: true, configurable: true };
    Object.defineProperty(message, '$unknowns', property);
  }
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
      const unknowns = message['$unknowns'] as readonly Uint8Array[] | undefined;
      for (const bytes of unknowns ?? []) writer.raw(bytes);
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
