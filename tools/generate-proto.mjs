/**
 * Writes src/proto/onnx.ts from src/proto/onnx.proto: the types of the messages, and the table of their fields that
 * src/proto/message-type.ts goes through.
 *
 * `--check` writes nothing and exits 1 when the committed file is not what the schema gives.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const schemaPath = fileURLToPath(new URL('../src/proto/onnx.proto', import.meta.url));
const outputPath = fileURLToPath(new URL('../src/proto/onnx.ts', import.meta.url));

/** Types of properties by those of the schema. @type {Record<string, string>} */
const SCALARS = {
  string: 'string',
  bytes: 'Uint8Array',
  int32: 'number',
  int64: 'Int64',
  uint64: 'Int64',
  float: 'number',
  double: 'number',
};

/** Name of a type within the package: `TypeProto.Tensor`. @param {protobuf.ReflectionObject} type */
function pathOf(type) {
  return type.fullName.replace(/^\.onnx\./, '');
}

/** Name of the interface of what may be written as a message of that type: `TypeProto.ITensor`. @param {string} path */
function shapeOf(path) {
  return path.replace(/\w+$/, (name) => `I${name}`);
}

/** @param {protobuf.Type} type */
function fieldsOf(type) {
  return type.fieldsArray.map((field) => field.resolve()).sort((a, b) => a.id - b.id);
}

/** Type of one element of a field. @param {protobuf.Field} field */
function elementOf({ type, resolvedType }) {
  return resolvedType === null ? SCALARS[type] : shapeOf(pathOf(resolvedType));
}

/** What a message that is written may have. @param {protobuf.Type} type */
function shape(type) {
  const fields = fieldsOf(type).map(
    (field) => `${field.name}?: ${elementOf(field)}${field.repeated ? '[]' : ''} | null;`,
  );
  return `export interface I${type.name} { ${fields.join(' ')} $unknowns?: Uint8Array[]; }`;
}

/** What a message that was read has. @param {protobuf.Type} type */
function message(type) {
  const fields = fieldsOf(type)
    .filter((field) => field.repeated || field.resolvedType === null)
    .map((field) => `${field.name}: ${elementOf(field)}${field.repeated ? '[]' : ''};`);
  return `export interface ${type.name} extends I${type.name} { ${fields.join(' ')} }`;
}

/** The types of a namespace, those within another behind it. @param {protobuf.NamespaceBase} space @returns {string} */
function declarations(space) {
  return space.nestedArray
    .map((item) => {
      if (!(item instanceof protobuf.Type)) return '';
      const inner = declarations(item);
      const nested = inner === '' ? '' : `export namespace ${item.name} {\n${inner}\n}\n`;
      return `${shape(item)}\n${message(item)}\n${nested}`;
    })
    .join('\n');
}

/** @param {protobuf.Enum} type */
function values(type) {
  return `{ ${Object.entries(type.values)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ')} }`;
}

/** The classes of a namespace. @param {protobuf.NamespaceBase} space @returns {string} */
function classes(space) {
  return space.nestedArray
    .map((item) => {
      if (item instanceof protobuf.Enum) return `readonly ${item.name}: typeof ${item.name};`;
      if (!(item instanceof protobuf.Type)) throw new Error(`${item.fullName} is no message`);
      const path = `onnx.${pathOf(item)}`;
      const own = `MessageType<${shapeOf(path)}, ${path}>`;
      const inner = classes(item);
      return `readonly ${item.name}: ${own}${inner === '' ? '' : ` & { ${inner} }`};`;
    })
    .join('\n');
}

/** @param {protobuf.NamespaceBase} space @returns {protobuf.ReflectionObject[]} */
function everything(space) {
  return space.nestedArray.flatMap((item) => [
    item,
    ...(item instanceof protobuf.Namespace ? everything(item) : []),
  ]);
}

/** The fields of a message type. @param {protobuf.Type} type */
function rows(type) {
  const list = fieldsOf(type).map((field) => {
    const content = field.resolvedType === null ? field.type : pathOf(field.resolvedType);
    const isPacked = field.getOption('packed') === true;
    const rule = isPacked ? 'packed' : field.repeated ? 'repeated' : '';
    const row = [`${field.id}`, `'${field.name}'`, `'${content}'`];
    if (rule !== '' || field.partOf) row.push(`'${rule}'`);
    if (field.partOf) row.push(`'${field.partOf.name}'`);
    return `[${row.join(', ')}],`;
  });
  return `'${pathOf(type)}': [\n${list.join('\n')}\n],`;
}

const { root } = protobuf.parse(readFileSync(schemaPath, 'utf8'));
const schema = /** @type {protobuf.Namespace} */ (root.lookup('onnx'));
const all = everything(schema);
const enums = all.filter((item) => item instanceof protobuf.Enum);
const types = all.filter((item) => item instanceof protobuf.Type);
const inEnums = enums.map(
  ({ parent, name }) => `Object.assign(types['${parent?.name}'] as object, { ${name} });`,
);
const text = `// Generated from onnx.proto by tools/generate-proto.mjs. Do not edit.

import type { Int64 } from './int64.ts';
import type { MessageType } from './message-fields.ts';
import { defineMessages } from './message-type.ts';

export namespace onnx {
${declarations(schema)}
}

${enums.map((item) => `const ${item.name} = ${values(item)} as const;`).join('\n')}

interface Types {
${classes(schema)}
}

const types = defineMessages({
${types.map(rows).join('\n')}
});
${inEnums.join('\n')}

export const onnx = types as unknown as Types;
`;

if (process.argv.includes('--check')) {
  if (readFileSync(outputPath, 'utf8') !== text) {
    process.stderr.write(
      'src/proto/onnx.ts is not what onnx.proto gives: npm run generate:proto\n',
    );
    process.exitCode = 1;
  }
} else {
  writeFileSync(outputPath, text);
}
