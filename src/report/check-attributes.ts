/** Attributes of nodes: names, types, and that the value is in the field that the type says. Pure. */

import { quoted } from '../external-data/reference.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Findings, Place } from './findings.ts';
import { onnxName } from './tensor-values.ts';

/** AttributeProto.AttributeType by number: its name, and the field that holds such a value. */
const TYPES: readonly (readonly [name: string, field: keyof onnx.IAttributeProto])[] = [
  ['UNDEFINED', 'type'],
  ['FLOAT', 'f'],
  ['INT', 'i'],
  ['STRING', 's'],
  ['TENSOR', 't'],
  ['GRAPH', 'g'],
  ['FLOATS', 'floats'],
  ['INTS', 'ints'],
  ['STRINGS', 'strings'],
  ['TENSORS', 'tensors'],
  ['GRAPHS', 'graphs'],
  ['SPARSE_TENSOR', 'sparseTensor'],
  ['SPARSE_TENSORS', 'sparseTensors'],
  ['TYPE_PROTO', 'tp'],
  ['TYPE_PROTOS', 'typeProtos'],
];

const VALUE_FIELDS = TYPES.slice(1).map(([, field]) => field);

/** Types whose value cannot be left out: zero, the empty text and the empty list can. */
const NEED_VALUE = new Set<keyof onnx.IAttributeProto>(['t', 'g', 'sparseTensor', 'tp']);

/** The fields that hold a value. */
function fieldsSet(attribute: onnx.IAttributeProto): (keyof onnx.IAttributeProto)[] {
  return VALUE_FIELDS.filter((field) => {
    if (!Object.hasOwn(attribute, field)) return false;
    const value = attribute[field];
    return Array.isArray(value) ? value.length > 0 : value !== null && value !== undefined;
  });
}

/** What is wrong with the type or value of an attribute. */
function problemOf(attribute: onnx.IAttributeProto): string | undefined {
  const { type } = attribute;
  const [name, field] = TYPES[type ?? 0] ?? [];
  if (name === undefined || field === undefined) return `has the unknown type ${type}`;
  if (field === 'type') return 'has no type';
  if (attribute.refAttrName) return undefined;
  const set = fieldsSet(attribute);
  const others = set.filter((other) => other !== field);
  if (others.length > 0)
    return `is of type ${name} and has a value in ${others.map(onnxName).join(', ')}`;
  if (set.length === 0 && NEED_VALUE.has(field)) return `is of type ${name} and has no value`;
  return undefined;
}

/** Checks the attributes of a node, or the defaults of a function's. */
export function checkAttributes(
  attributes: readonly onnx.IAttributeProto[],
  isInFunction: boolean,
  where: Place,
  findings: Findings,
): void {
  const names = new Set<string>();
  for (const attribute of attributes) {
    const name = attribute.name ?? '';
    const report = (severity: 'error' | 'warning', problem: string) =>
      findings.add(severity, 'attribute', where, `attribute ${quoted(name)} ${problem}`);
    if (name === '') findings.add('error', 'attribute', where, 'an attribute has no name');
    else if (names.has(name)) report('error', 'is there twice');
    names.add(name);
    const problem = problemOf(attribute);
    if (problem !== undefined) report('error', problem);
    if (!attribute.refAttrName) continue;
    const reference = `takes the value of attribute ${quoted(attribute.refAttrName)}`;
    if (!isInFunction) report('warning', `${reference}, which only nodes of functions have`);
    else if (fieldsSet(attribute).length > 0) report('warning', `${reference} and has one itself`);
  }
}
