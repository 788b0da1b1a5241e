/** Reading and writing node attributes. Pure. */

import { DType } from '../dtypes.ts';
import { longToNumber, toInt64 } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';

/** A value that {@link attributeProto} can write: integers, floats, strings and integer lists. */
export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] };

/** AttributeProto.AttributeType. */
export const AttributeType = {
  FLOAT: 1,
  INT: 2,
  STRING: 3,
  TENSOR: 4,
  GRAPH: 5,
  INTS: 7,
} as const;

export function attributeProto(name: string, value: AttributeValue): onnx.IAttributeProto {
  if ('int' in value)
    return { name, type: AttributeType.INT, i: toInt64(value.int, `attribute "${name}"`) };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  if ('string' in value) {
    return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value.string) };
  }
  const ints = value.ints.map((item) => toInt64(item, `attribute "${name}"`));
  return { name, type: AttributeType.INTS, ints };
}

export function findAttribute(node: Node, name: string): onnx.IAttributeProto | undefined {
  return node.proto.attribute?.find((attribute) => attribute.name === name);
}

/** Integer attribute, or `absent` when the node does not state it. A stated one without a value is 0. */
export function intAttribute(node: Node, name: string, absent: number): number {
  const attribute = findAttribute(node, name);
  return attribute === undefined
    ? absent
    : longToNumber(attribute.i, `attribute "${name}" of node "${node.label}"`);
}

/** Float attribute, or `absent` when the node does not state it. A stated one without a value is 0. */
export function floatAttribute(node: Node, name: string, absent: number): number {
  const attribute = findAttribute(node, name);
  return attribute === undefined ? absent : (attribute.f ?? 0);
}

/** Integer list, or undefined when the node does not state it. */
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  return findAttribute(node, name)?.ints?.map((value) =>
    longToNumber(value, `attribute "${name}" of node "${node.label}"`),
  );
}

/** Integers of a small int64 or int32 tensor that is in memory; undefined for anything else. */
export function readInts(tensor: Tensor): readonly number[] | undefined {
  if (tensor.data.kind === 'proto') {
    const { int64Data, int32Data } = tensor.proto;
    const values =
      tensor.dtype === DType.INT64
        ? int64Data?.map((value) => longToNumber(value, 'a tensor element'))
        : tensor.dtype === DType.INT32
          ? int32Data
          : undefined;
    return values?.length === tensor.elementCount ? values : undefined;
  }
  if (tensor.data.kind !== 'inline') return undefined;
  const { bytes } = tensor.data;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const result: number[] = [];
  if (tensor.dtype === DType.INT64) {
    for (let at = 0; at + 8 <= bytes.byteLength; at += 8)
      result.push(Number(view.getBigInt64(at, true)));
    return result;
  }
  if (tensor.dtype === DType.INT32) {
    for (let at = 0; at + 4 <= bytes.byteLength; at += 4) result.push(view.getInt32(at, true));
    return result;
  }
  return undefined;
}
