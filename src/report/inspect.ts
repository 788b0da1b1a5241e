/** What is inside a model, as data: where its bytes are, what it is, and what would shrink it. Reads no weight. */

import { type Embedding, findEmbedding } from '../anatomy/embedding.ts';
import { findHead } from '../anatomy/head.ts';
import type { Linear } from '../anatomy/linear.ts';
import { pairStates } from '../anatomy/state-names.ts';
import { type ModelPath, resolveModelPath } from '../external-data/model-path.ts';
import { type OpenedModel, openModel } from '../external-data/open-model.ts';
import type { Model } from '../model/model.ts';
import { longToNumber } from '../proto/int64.ts';
import { type TableReport, type TieState, tableReport, tieState } from './tables.ts';
import { type KindUse, kindUses, listTensors, type TensorListing } from './tensor-list.ts';
import { type FileUse, fileUses, TensorTotals, type TypeUse } from './tensor-totals.ts';

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

function countOperators(model: Model): { nodes: number; operators: Record<string, number> } {
  const operators = new Map<string, number>();
  let nodes = 0;
  for (const graph of model.graphs()) {
    graph.countOperators(operators);
    nodes += graph.nodeCount;
  }
  return { nodes, operators: Object.fromEntries([...operators].sort((a, b) => b[1] - a[1])) };
}

/** An open model and what there is to say about it. Dispose it to close its files. */
export class Inspection implements Disposable {
  readonly report: InspectReport;
  readonly #opened: OpenedModel;
  readonly #embedding: Embedding | undefined;
  readonly #head: Linear | undefined;

  /** Opens a model, a `.onnx` file or a directory that holds one. Throws what opening it throws. */
  constructor(path: string, component?: string) {
    const resolved = resolveModelPath(path, component);
    this.#opened = openModel(resolved.path);
    const { model } = this.#opened;
    try {
      this.#head = findHead(model)?.linear;
      this.#embedding = findEmbedding(model, this.#head);
      this.report = this.#describe(resolved);
    } catch (error) {
      this.#opened[Symbol.dispose]();
      throw error;
    }
  }

  /** Every tensor, in the order of the file; described one at a time. */
  tensors(): Generator<TensorListing> {
    return listTensors(this.#opened, this.#embedding, this.#head);
  }

  /** Sums by what tensors are for, those with most bytes first. */
  kinds(): KindUse[] {
    return kindUses(this.tensors());
  }

  [Symbol.dispose](): void {
    this.#opened[Symbol.dispose]();
  }

  #describe({ path, otherModels }: ModelPath): InspectReport {
    const { model, files: openFiles, warnings } = this.#opened;
    const totals = new TensorTotals(model);
    const files = fileUses(this.#opened, totals.used);
    const types = totals.types();
    const { weights } = totals;
    const external = files
      .filter((file) => file.path !== openFiles.model.path)
      .reduce((sum, file) => sum + file.aliveBytes - file.headerBytes, 0);
    const tensorBytes = types.reduce((sum, use) => sum + use.byteLength, 0);
    const inputs = model.graph.inputs.map((value) => value.name);
    const outputs = model.graph.outputs.map((value) => value.name);
    return {
      path,
      byteLength: files.reduce((sum, file) => sum + file.byteLength, 0),
      irVersion: model.irVersion,
      opsets: Object.fromEntries(
        (model.proto.opsetImport ?? []).map(({ domain, version }) => [
          domain || 'ai.onnx',
          longToNumber(version, 'an opset version'),
        ]),
      ),
      producer: [model.proto.producerName, model.proto.producerVersion].filter(Boolean).join(' '),
      ...countOperators(model),
      graphs: [...model.graphs()].length,
      functions: model.functions.length,
      tensors: types.reduce((sum, use) => sum + use.tensors, 0),
      weights,
      bitsPerWeight: weights === 0 ? 0 : ((external || tensorBytes) * 8) / weights,
      types,
      files,
      inputs,
      outputs,
      layers: new Set(pairStates(inputs, outputs).map((state) => state.layer)).size,
      embedding: this.#embedding && tableReport(this.#embedding),
      head: this.#head && tableReport(this.#head),
      tie: tieState(this.#embedding, this.#head),
      otherModels,
      warnings,
    };
  }
}

/** Inspects a model, a `.onnx` file or a directory that holds one. Throws what opening it throws. */
export function inspectModel(path: string, component?: string): InspectReport {
  using inspection = new Inspection(path, component);
  return inspection.report;
}
