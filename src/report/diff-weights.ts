/** The weights of a model and by what they can be found in another one. Pure. */

import { describeBlocked } from '../anatomy/blocked-weight.ts';
import { describeLinear } from '../anatomy/linear.ts';
import { quantizedGather, type TableInput } from '../anatomy/quantized-table.ts';
import { traceConstant } from '../anatomy/weight.ts';
import { intAttribute } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Tensor } from '../model/tensor.ts';
import { rangeOf } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';
import {
  blockedOperand,
  floatOperand,
  tableOperand,
  type WeightOperand,
} from './weight-operand.ts';

/** A weight that products or lookups read. */
export interface DiffWeight {
  /** Name of the float tensor, or of the codes. */
  readonly name: string;
  /** The tensors it consists of. */
  readonly parts: readonly Tensor[];
  readonly operand: WeightOperand;
  /** What it is known by for each node that reads it, the most telling first: results, the node's name, its own. */
  readonly uses: string[][];
}

interface Found {
  readonly name: string;
  readonly parts: readonly Tensor[];
  readonly operand: WeightOperand | undefined;
}

function inputs(codes: TableInput, scales: TableInput, zeroPoints: TableInput | undefined) {
  return [codes, scales, ...(zeroPoints ? [zeroPoints] : [])].map(({ tensor }) => tensor);
}

function weightOf(model: Model, node: Node): Found | undefined {
  if (node.is('GatherBlockQuantized', 'com.microsoft')) {
    const table = quantizedGather(model, node);
    if (table.kind === 'none') return undefined;
    const parts = inputs(table.codes, table.scales, table.zeroPoints);
    return { name: table.codes.value.name, parts, operand: tableOperand(table) };
  }
  if (node.is('Gather')) {
    const view = traceConstant(model, node.inputs[0]);
    const [first, second] = view?.tensor.dims ?? [];
    if (view?.tensor.dims.length !== 2 || !first || !second) return undefined;
    if (intAttribute(node, 'axis', 0) !== 0) return undefined;
    const [n, k] = view.transposed ? [second, first] : [first, second];
    const operand = floatOperand(view.tensor, n, k, view.transposed);
    return { name: view.source.name, parts: [view.tensor], operand };
  }
  const blocked = describeBlocked(model, node);
  if (blocked?.kind === 'blocked') {
    const parts = inputs(blocked.codes, blocked.scales, blocked.zeroPoints);
    return { name: blocked.codes.value.name, parts, operand: blockedOperand(blocked) };
  }
  const linear = describeLinear(model, node);
  if (linear?.kind === 'quantized') {
    const { codes, scales, zeroPoints } = linear.table;
    const parts = inputs(codes, scales, zeroPoints);
    return { name: codes.value.name, parts, operand: tableOperand(linear.table) };
  }
  if (linear?.kind !== 'float') return undefined;
  const { tensor, source } = linear.weight;
  const operand = floatOperand(tensor, linear.n, linear.k, linear.layout === 'columns');
  return { name: source.name, parts: [tensor], operand };
}

/** Where the values of a tensor are: the same for tensors that share them. */
export function placeOf({ data }: Tensor): unknown {
  const range = rangeOf(data);
  return range ? `${range.file.fd}:${range.byteOffset}:${range.byteLength}` : data;
}

/** Results of a node, and what an Add of a bias or a Cast after it makes of them: Gemm becomes a product and an Add. */
function resultNames(node: Node): string[] {
  const names: string[] = [];
  let current: Node | undefined = node;
  for (let steps = 0; current !== undefined && steps < 2; steps++) {
    const output: Value | undefined = current.outputs[0];
    if (output === undefined) break;
    names.push(output.name);
    const readers: readonly Node[] = output.consumers;
    current = readers.length === 1 && readers[0]?.is('Add') ? readers[0] : undefined;
  }
  return names;
}

/**
 * Weights of MatMul, Gemm, MatMulNBits, Gather and GatherBlockQuantized, each stored table once, in the order of the
 * graph; with them all their parts. Tables that cannot be read (strange blocks or types) are left out.
 */
export function collectWeights(model: Model): DiffWeight[] {
  const weights = new Map<string, DiffWeight>();
  const ids = new Map<unknown, number>();
  const idOf = (tensor: Tensor) => {
    const place = placeOf(tensor);
    const known = ids.get(place) ?? ids.size;
    ids.set(place, known);
    return known;
  };
  for (const node of model.nodes()) {
    const found = weightOf(model, node);
    if (found?.operand === undefined) continue;
    const { name, parts, operand } = found;
    // The same table read as [N, K] and, transposed, as [K, N] is two views of one matrix with different channels.
    const shape = [operand.n, operand.k, operand.transposed];
    const id = [...parts.map(idOf), ...shape].join();
    const known = weights.get(id) ?? { name, parts, operand, uses: [] };
    const ofNode = resultNames(node).map((result) => `result ${result}`);
    const ofName = node.name === '' ? [] : [`node ${node.name}`];
    known.uses.push([...ofNode, ...ofName, `tensor ${name}`]);
    weights.set(id, known);
  }
  return [...weights.values()];
}

/** Two weights of one shape that have the same part in their models. */
export interface WeightPair {
  readonly a: DiffWeight;
  readonly b: DiffWeight;
}

/** Pairs weights by their keys, and gives those without a partner. A table may be the partner of several (a tie). */
export function pairWeights(a: readonly DiffWeight[], b: readonly DiffWeight[]) {
  const byKey = new Map<string, DiffWeight>();
  for (const weight of b) {
    for (const key of weight.uses.flat()) if (!byKey.has(key)) byKey.set(key, weight);
  }
  const pairs: WeightPair[] = [];
  const matched = new Set<DiffWeight>();
  const isSameShape = (x: WeightOperand, y: WeightOperand) => x.n === y.n && x.k === y.k;
  for (const weight of a) {
    const partners = new Set<DiffWeight>();
    for (const keys of weight.uses) {
      const others = keys.map((key) => byKey.get(key));
      const other = others.find((it) => it && isSameShape(weight.operand, it.operand));
      if (other !== undefined) partners.add(other);
    }
    for (const other of partners) {
      pairs.push({ a: weight, b: other });
      matched.add(weight);
      matched.add(other);
    }
  }
  return { pairs, isMatched: (weight: DiffWeight) => matched.has(weight) };
}
