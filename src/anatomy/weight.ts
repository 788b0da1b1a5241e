/**
 * Constant weights behind the small operators that exporters put in front of them. The view says which stored
 * tensor is read and how it lies; no bytes are touched. Pure.
 */

import { findAttribute, intsAttribute } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Tensor } from '../model/tensor.ts';
import type { Value } from '../model/value.ts';

/** A constant of the graph seen from one of its readers. */
export interface ConstantView {
  /** The stored tensor. */
  readonly tensor: Tensor;
  /** The value that holds it: an initializer, or the output of a Constant node. */
  readonly source: Value;
  /** True when an odd number of Transposes of the last two dimensions lies between the stored tensor and the reader. */
  readonly transposed: boolean;
  /** Nodes passed on the way, from the reader to the source. */
  readonly path: readonly Node[];
  /** True when a Cast changes the element type on the way. */
  readonly cast: boolean;
}

/** The tensor of a constant value: an initializer that no caller can override, or a Constant node's `value`. */
export function constantTensor(model: Model, value: Value | undefined): Tensor | undefined {
  if (value === undefined) return undefined;
  if (value.isConstant) return value.tensor;
  const node = value.producer;
  if (node === undefined || !node.is('Constant')) return undefined;
  const proto = findAttribute(node, 'value')?.t;
  return proto ? model.otherTensors.get(proto) : undefined;
}

/** What `value` is made of through Identity, Cast and Transpose: itself, or the value where that ends. */
export function sourceThroughViews(value: Value | undefined): Value | undefined {
  let current = value;
  for (let steps = 0; current !== undefined && steps <= LONGEST_PATH; steps++) {
    const node: Node | undefined = current.producer;
    const isView = node?.is('Transpose') || node?.is('Cast') || node?.is('Identity');
    if (current.tensor !== undefined || !isView) return current;
    current = node?.inputs[0];
  }
  return undefined;
}

/** The graph input that `value` is, seen through Identity, Cast and Transpose, when it has a default a caller may replace. */
export function replaceableDefault(value: Value | undefined): Value | undefined {
  const source = sourceThroughViews(value);
  return source?.tensor !== undefined && source.isGraphInput ? source : undefined;
}

/** Longest chain of Transpose, Cast and Identity that is followed; exporters write one or two. */
const LONGEST_PATH = 8;

/** Whether a Transpose exchanges the last two dimensions of `rank` and leaves the others. */
export function isPlainTranspose(node: Node, rank: number): boolean {
  const perm = intsAttribute(node, 'perm');
  if (perm === undefined) return rank === 2;
  if (rank < 2 || perm.length !== rank) return false;
  const last = [rank - 1, rank - 2];
  return perm.every((axis, index) => axis === (index < rank - 2 ? index : last[index - rank + 2]));
}

/**
 * Follows `value` back through Identity, Cast and Transpose of the last two dimensions to a stored tensor; undefined
 * when it is not one.
 */
export function traceConstant(model: Model, value: Value | undefined): ConstantView | undefined {
  const path: Node[] = [];
  let transposes = 0;
  let cast = false;
  let current = value;
  while (current !== undefined && path.length <= LONGEST_PATH) {
    const tensor = constantTensor(model, current);
    if (tensor !== undefined) {
      const plain = path.every(
        (node) => !node.is('Transpose') || isPlainTranspose(node, tensor.dims.length),
      );
      if (!plain) return undefined;
      return { tensor, source: current, transposed: transposes % 2 === 1, path, cast };
    }
    const node: Node | undefined = current.producer;
    if (node === undefined) return undefined;
    if (node.is('Transpose')) transposes++;
    else if (node.is('Cast')) cast = true;
    else if (!node.is('Identity')) return undefined;
    path.push(node);
    current = node.inputs[0];
  }
  return undefined;
}
