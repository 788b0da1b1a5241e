/** Two models side by side: their graphs, and how far their tensors are from each other. */

import { dtypeLabel } from '../dtypes.ts';
import { resolveModelPath } from '../external-data/model-path.ts';
import { type OpenedModel, openModel } from '../external-data/open-model.ts';
import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import type { WeightError } from '../stream/weight-error.ts';
import { diffGraphs, type GraphDiff, isSameGraph } from './diff-graph.ts';
import { collectWeights, pairWeights, placeOf } from './diff-weights.ts';
import { compareTensors, type ReadOptions } from './equal-bytes.ts';
import { measureOperands, pairByteLength } from './measure-operands.ts';
import { floatOperand, type WeightOperand } from './weight-operand.ts';

/** Two tensors with the same part in their models that are not the same. */
export interface TensorDiff {
  readonly a: string;
  readonly b: string;
  /** How each is stored: `fp16 [64, 32]`, `[64, 32] in 4 bits, blocks of 32`. */
  readonly storedA: string;
  readonly storedB: string;
  /** How far `b` is from `a`; undefined where numbers cannot be compared (other types, other shapes). */
  readonly error: WeightError | undefined;
}

export interface DiffReport {
  readonly a: { readonly path: string; readonly byteLength: number };
  readonly b: { readonly path: string; readonly byteLength: number };
  /** True when both say the same: interface, versions, metadata, nodes, and every tensor bit by bit. */
  readonly same: boolean;
  readonly graph: GraphDiff;
  /** Tensors that are the same in both. */
  readonly sameTensors: number;
  readonly tensors: readonly TensorDiff[];
  /** Tensors without a counterpart, by name. */
  readonly onlyInA: readonly string[];
  readonly onlyInB: readonly string[];
}

interface Pair {
  readonly a: string;
  readonly b: string;
  /** Their stored tensors, when they are as many on both sides. */
  readonly parts: readonly (readonly [Tensor, Tensor])[] | undefined;
  readonly storedA: string;
  readonly storedB: string;
  readonly operands: readonly [WeightOperand, WeightOperand] | undefined;
}

function shapeText({ dtype, dims }: Tensor): string {
  return `${dtypeLabel(dtype)} [${dims.join(', ')}]`;
}

function operandText({ n, k, storage }: WeightOperand): string {
  return `${storage} [${n}, ${k}]`;
}

/** A tensor that no product reads, as rows of its last dimension. */
function plainOperand(tensor: Tensor): WeightOperand | undefined {
  const k = tensor.dims.at(-1) ?? 1;
  const count = tensor.elementCount;
  return count === 0 || k === 0 ? undefined : floatOperand(tensor, count / k, k, false);
}

function weightPairs(a: Model, b: Model) {
  const [ofA, ofB] = [collectWeights(a), collectWeights(b)];
  const { pairs, isMatched } = pairWeights(ofA, ofB);
  const covered = new Set<unknown>();
  for (const weight of [...ofA, ...ofB]) {
    if (isMatched(weight)) for (const part of weight.parts) covered.add(placeOf(part));
  }
  const found = pairs.map(({ a: left, b: right }): Pair => {
    const isAlike =
      left.parts.length === right.parts.length &&
      left.operand.transposed === right.operand.transposed;
    return {
      a: left.name,
      b: right.name,
      parts: isAlike
        ? left.parts.map((part, i) => [part, right.parts[i] as Tensor] as const)
        : undefined,
      storedA: operandText(left.operand),
      storedB: operandText(right.operand),
      operands: [left.operand, right.operand],
    };
  });
  return { pairs: found, covered };
}

/** All other tensors, by name. */
function otherTensors(model: Model, covered: ReadonlySet<unknown>): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const { name, tensor } of model.tensors()) {
    if (!covered.has(placeOf(tensor))) tensors.set(name, tensor);
  }
  return tensors;
}

function otherPairs(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): Pair[] {
  const pairs: Pair[] = [];
  for (const [name, left] of a) {
    const right = b.get(name);
    if (right === undefined) continue;
    const isSameShape = left.dims.join() === right.dims.join();
    const [x, y] = isSameShape ? [plainOperand(left), plainOperand(right)] : [];
    pairs.push({
      a: name,
      b: name,
      parts: [[left, right]],
      storedA: shapeText(left),
      storedB: shapeText(right),
      operands: x && y && [x, y],
    });
  }
  return pairs;
}

/** Which pairs are the same bit by bit. */
async function samePairs(pairs: readonly Pair[], options: ReadOptions): Promise<Set<Pair>> {
  const tensors = pairs.flatMap(({ parts }) => parts ?? []);
  const results = await compareTensors(tensors, options);
  const same = new Set<Pair>();
  let next = 0;
  for (const pair of pairs) {
    const count = pair.parts?.length ?? 0;
    const isSame = results.slice(next, next + count).every((result) => result === true);
    next += count;
    if (count > 0 && isSame) same.add(pair);
  }
  return same;
}

async function measurePairs(pairs: readonly Pair[], options: ReadOptions): Promise<TensorDiff[]> {
  const { memoryBytes, signal, onProgress } = options;
  const total = pairs.reduce(
    (sum, pair) => sum + (pair.operands ? pairByteLength(...pair.operands) : 0),
    0,
  );
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    onProgress?.(done, total);
  };
  const diffs: TensorDiff[] = [];
  for (const { a, b, storedA, storedB, operands } of pairs) {
    const error =
      operands && (await measureOperands(...operands, { memoryBytes, signal, onBytes }));
    diffs.push({ a, b, storedA, storedB, error });
  }
  return diffs;
}

/** Compares two open models. Throws what reading them throws. */
async function diffOpened(a: OpenedModel, b: OpenedModel, options: ReadOptions) {
  const graph = diffGraphs(a.model, b.model);
  const weights = weightPairs(a.model, b.model);
  const [ofA, ofB] = [a, b].map(({ model }) => otherTensors(model, weights.covered));
  if (ofA === undefined || ofB === undefined)
    throw new Error('two models have two sets of tensors');
  const pairs = [...weights.pairs, ...otherPairs(ofA, ofB)];
  const same = await samePairs(pairs, options);
  const tensors = await measurePairs(
    pairs.filter((pair) => !same.has(pair)),
    options,
  );
  const only = (names: ReadonlyMap<string, Tensor>, others: ReadonlyMap<string, Tensor>) =>
    [...names.keys()].filter((name) => !others.has(name));
  const onlyInA = only(ofA, ofB);
  const onlyInB = only(ofB, ofA);
  const isSame =
    isSameGraph(graph) && tensors.length === 0 && onlyInA.length === 0 && onlyInB.length === 0;
  return { same: isSame, graph, sameTensors: same.size, tensors, onlyInA, onlyInB };
}

/** Which `.onnx` of packages of several, and how they are read. */
export interface DiffOptions extends ReadOptions {
  readonly component?: string | undefined;
}

/**
 * Compares two models, `.onnx` files or directories that hold one. Weights are paired by what reads them (results and
 * names of nodes), all other tensors by name; those that are not the same are decoded and measured, `a` being what `b`
 * is measured against. Memory: `memoryBytes`, both graphs, and Node. Throws what opening and reading models throws.
 */
export async function diffModels(a: string, b: string, options: DiffOptions): Promise<DiffReport> {
  const [pathA, pathB] = [a, b].map((path) => resolveModelPath(path, options.component).path);
  if (pathA === undefined || pathB === undefined) throw new Error('two models have two paths');
  using openedA = openModel(pathA);
  using openedB = openModel(pathB);
  const described = (path: string, { files }: OpenedModel) => ({
    path,
    byteLength: files.files.reduce((sum, file) => sum + file.byteLength, 0),
  });
  const diff = await diffOpened(openedA, openedB, options);
  return { a: described(pathA, openedA), b: described(pathB, openedB), ...diff };
}
