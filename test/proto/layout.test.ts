import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { MESSAGE_FIELDS, MESSAGE_TYPES, PAYLOAD_FIELDS } from '../../src/proto/layout.ts';

const schemaText = readFileSync(new URL('../../src/proto/onnx.proto', import.meta.url), 'utf8');
const namespace = protobuf.parse(schemaText).root.lookup('onnx');
if (!(namespace instanceof protobuf.Namespace)) throw new Error('the schema has no package onnx');

function messagesIn(space: protobuf.NamespaceBase, prefix = ''): [string, protobuf.Type][] {
  return space.nestedArray.flatMap((item): [string, protobuf.Type][] =>
    item instanceof protobuf.Type
      ? [[prefix + item.name, item], ...messagesIn(item, `${prefix}${item.name}.`)]
      : [],
  );
}

const messages = messagesIn(namespace);
const packable: Readonly<Record<string, string>> = {
  int64: 'int64',
  uint64: 'int64',
  int32: 'int32',
  float: 'float',
  double: 'double',
};

test('the layout lists every message of the schema', () => {
  expect([...MESSAGE_TYPES].sort()).toEqual(messages.map(([name]) => name).sort());
});

test.each(messages)('the layout of %s names its messages and repeated numbers', (name, type) => {
  const expected: Record<number, string> = {};
  for (const field of type.fieldsArray) {
    field.resolve();
    if (field.resolvedType instanceof protobuf.Type) {
      expected[field.id] = field.resolvedType.fullName.replace('.onnx.', '');
    } else if (field.repeated && packable[field.type]) {
      expected[field.id] = packable[field.type] as string;
    }
  }
  expect(MESSAGE_FIELDS[name as keyof typeof MESSAGE_FIELDS]).toEqual(expected);
});

test('every field number fits the compiled layout, and merging fields fit a 32-bit set', () => {
  const numbers = messages.flatMap(([, type]) => type.fieldsArray.map((field) => field.id));
  expect(Math.max(...numbers)).toBeLessThan(32);
});

test('payload fields have the numbers of the schema', () => {
  const tensor = namespace.lookupType('TensorProto');
  for (const [name, number] of Object.entries(PAYLOAD_FIELDS)) {
    const camelCase = name.replace(/_(.)/, (_, letter: string) => letter.toUpperCase());
    expect(tensor.fields[camelCase]?.id).toBe(number);
  }
});
