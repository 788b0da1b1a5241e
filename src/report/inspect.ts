/** What is inside a model, as data: where its bytes are, what it is, and what would shrink it. Reads no weight. */

import { type Embedding, findEmbedding } from '../anatomy/embedding.ts';
import { findHead } from '../anatomy/head.ts';
import type { Linear } from '../anatomy/linear.ts';
import { pairStates } from '../anatomy/state-names.ts';
import { WeightCount } from '../anatomy/weight-count.ts';
import { dtypeLabel } from '../dtypes.ts';
import { resolveModelPath } from '../external-data/model-path.ts';
import { type OpenedModel, openModel } from '../external-data/open-model.ts';
import type { Model } from '../model/model.ts';
import type { TensorData } from '../model/tensor-data.ts';
import { UsedBytes } from '../model/used-bytes.ts';
import { longToNumber } from '../proto/int64.ts';

/** Bytes of one file of the model. */
export interface FileUse {
  readonly path: string;
  readonly byteLength: number;
  /** Bytes that tensors refer to; for the `.onnx` all of it. */
  readonly aliveBytes: number;
  /** Bytes no tensor refers to, padding included. */
  readonly deadBytes: number;
}

/** Tensors of one element type. */
export interface TypeUse {
  readonly dtype: string;
  readonly tensors: number;
  readonly byteLength: number;
}

/** The embedding table or the head. */
export interface TableReport {
  readonly node: string;
  readonly tensor: string;
  readonly rows: number;
  readonly columns: number;
  /** `fp16`, or `4-bit, blocks of 32`. */
  readonly storage: string;
  readonly byteLength: number;
}

/** How head and embedding relate: shared bytes, different bytes, or copies that only a comparison can tell apart. */
export type TieState = 'same tensor' | 'same bytes' | 'separate, not compared' | 'none';

export interface InspectReport {
  readonly path: string;
  readonly byteLength: number;
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly producer: string;
  readonly nodes: number;
  readonly graphs: number;
  readonly functions: number;
  readonly tensors: number;
  readonly weights: number;
  readonly bitsPerWeight: number;
  readonly types: readonly TypeUse[];
  readonly files: readonly FileUse[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Layers with a cache or a state. */
  readonly layers: number;
  readonly embedding: TableReport | undefined;
  readonly head: TableReport | undefined;
  readonly tie: TieState;
  readonly operators: Readonly<Record<string, number>>;
  readonly otherModels: readonly string[];
  readonly warnings: readonly string[];
}

function fileUses({ files }: OpenedModel, used: UsedBytes): FileUse[] {
  const aliveByFile = used.byFile();
  return files.files.map((file) => {
    const { path, byteLength } = file;
    const aliveBytes = file === files.model ? byteLength : (aliveByFile.get(file) ?? 0);
    return { path, byteLength, aliveBytes, deadBytes: byteLength - aliveBytes };
  });
}

/** What one look at every tensor tells. */
class TensorTotals {
  readonly used = new UsedBytes();
  readonly #weights: WeightCount;
  readonly #types = new Map<number, { tensors: number; byteLength: number }>();

  constructor(model: Model) {
    this.#weights = new WeightCount(model);
    for (const { tensor } of model.tensors()) {
      this.used.add(tensor);
      this.#weights.add(tensor);
      const use = this.#types.get(tensor.dtype) ?? { tensors: 0, byteLength: 0 };
      if (use.tensors === 0) this.#types.set(tensor.dtype, use);
      use.tensors++;
      use.byteLength += tensor.byteLength ?? 0;
    }
  }

  get weights(): number {
    return this.#weights.count;
  }

  /** Element types, those with most bytes first. */
  types(): TypeUse[] {
    return [...this.#types]
      .map(([code, use]) => ({ dtype: dtypeLabel(code), ...use }))
      .sort((a, b) => b.byteLength - a.byteLength);
  }
}

function tableReport(part: Embedding | Linear): TableReport {
  const node = part.node.label;
  const [rows, columns] =
    'vocabSize' in part ? [part.vocabSize, part.hiddenSize] : [part.n, part.k];
  if (part.kind === 'quantized') {
    const { codes, scales, zeroPoints, bits, blockSize } = part.table;
    const inputs = [codes, scales, ...(zeroPoints ? [zeroPoints] : [])];
    return {
      node,
      tensor: codes.value.name,
      rows,
      columns,
      storage: `${bits}-bit, blocks of ${blockSize}`,
      byteLength: inputs.reduce((sum, { tensor }) => sum + (tensor.byteLength ?? 0), 0),
    };
  }
  const view = 'table' in part ? part.table : part.weight;
  return {
    node,
    tensor: view.source.name,
    rows,
    columns,
    storage: dtypeLabel(view.tensor.dtype),
    byteLength: view.tensor.byteLength ?? 0,
  };
}

function stored(part: Embedding | Linear): { readonly data: TensorData } {
  if (part.kind === 'quantized') return part.table.codes.tensor;
  return 'table' in part ? part.table.tensor : part.weight.tensor;
}

function tieState(embedding: Embedding | undefined, head: Linear | undefined): TieState {
  if (embedding === undefined || head === undefined) return 'none';
  const [a, b] = [stored(embedding), stored(head)];
  if (a === b) return 'same tensor';
  const same =
    a.data.kind === 'range' &&
    b.data.kind === 'range' &&
    a.data.file === b.data.file &&
    a.data.byteOffset === b.data.byteOffset;
  return same ? 'same bytes' : 'separate, not compared';
}

/** Inspects a model, a `.onnx` file or a directory that holds one. Throws what opening it throws. */
export function inspectModel(path: string, component?: string): InspectReport {
  const resolved = resolveModelPath(path, component);
  using opened = openModel(resolved.path);
  const { model } = opened;
  const head = findHead(model)?.linear;
  const embedding = findEmbedding(model, head);
  const totals = new TensorTotals(model);
  const files = fileUses(opened, totals.used);
  const operators = new Map<string, number>();
  let nodes = 0;
  for (const { domain, opType } of model.nodes()) {
    const name = domain === '' ? opType : `${domain}::${opType}`;
    operators.set(name, (operators.get(name) ?? 0) + 1);
    nodes++;
  }
  const types = totals.types();
  const { weights } = totals;
  const distinct = files.reduce(
    (sum, file) => sum + (file.path === opened.files.model.path ? 0 : file.aliveBytes),
    0,
  );
  const tensorBytes = types.reduce((sum, use) => sum + use.byteLength, 0);
  const inputs = model.graph.inputs.map((value) => value.name);
  const outputs = model.graph.outputs.map((value) => value.name);
  return {
    path: resolved.path,
    byteLength: files.reduce((sum, file) => sum + file.byteLength, 0),
    irVersion: model.irVersion,
    opsets: Object.fromEntries(
      (model.proto.opsetImport ?? []).map(({ domain, version }) => [
        domain || 'ai.onnx',
        longToNumber(version, 'an opset version'),
      ]),
    ),
    producer: [model.proto.producerName, model.proto.producerVersion].filter(Boolean).join(' '),
    nodes,
    graphs: [...model.graphs()].length,
    functions: model.functions.length,
    tensors: types.reduce((sum, use) => sum + use.tensors, 0),
    weights,
    bitsPerWeight: weights === 0 ? 0 : ((distinct || tensorBytes) * 8) / weights,
    types,
    files,
    inputs,
    outputs,
    layers: new Set(pairStates(inputs, outputs).map((state) => state.layer)).size,
    embedding: embedding && tableReport(embedding),
    head: head && tableReport(head),
    tie: tieState(embedding, head),
    operators: Object.fromEntries([...operators].sort((a, b) => b[1] - a[1])),
    otherModels: resolved.otherModels,
    warnings: opened.warnings,
  };
}
