/** The rewrites of tie-word-embeddings, one for each starting point. */

import type { FloatEmbedding, QuantizedEmbedding } from '../anatomy/embedding.ts';
import type { FloatLinear, Linear, QuantizedLinear } from '../anatomy/linear.ts';
import type { QuantizedTable } from '../anatomy/quantized-table.ts';
import { ceilDiv } from '../bytes.ts';
import { DType, dtypeLabel } from '../dtypes.ts';
import { intAttribute } from '../model/attributes.ts';
import { removeUnread } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { Tensor } from '../model/tensor.ts';
import type { Value } from '../model/value.ts';
import { accuracyWarnings, BLOCK_SIZES, type QuantizedValues } from './blockwise.ts';
import type { Gates } from './gates.ts';
import {
  lookupsOf,
  NO_ZERO_POINTS,
  replaceByGatherBlockQuantized,
} from './gather-block-quantized.ts';
import { replaceByMatMulNBits } from './matmul-nbits.ts';
import {
  differenceReason,
  encodingOf,
  floatTable,
  quantizedPairReason,
  sameData,
} from './tie-sources.ts';

/** What the rewrites need from the surgery. */
export interface TieWork {
  readonly model: Model;
  readonly gates: Gates;
  readonly options: { readonly tieStyle: 'range' | 'reshape'; readonly accuracyLevel: number };
}

/** A finished rewrite, or the reason why the model was left alone. */
export type TieOutcome =
  | { readonly what: string; readonly warnings?: readonly string[] }
  | { readonly reason: string };

const TIED_ALREADY = 'tied already: head and embedding read the same bytes';

/** Widths and blocks that both operators have on every execution provider that has them at all. */
function tableObstacle(table: QuantizedTable): string | undefined {
  if (![2, 4, 8].includes(table.bits)) return `the table has ${table.bits} bits per element`;
  if (!BLOCK_SIZES.some((size) => size === table.blockSize)) {
    return `the table has blocks of ${table.blockSize}`;
  }
  if (table.k % table.blockSize !== 0) {
    return `rows of ${table.k} elements are not whole blocks of ${table.blockSize}`;
  }
  return undefined;
}

function int64Tensor(values: readonly number[]): Tensor {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setBigInt64(index * 8, BigInt(value), true);
  });
  return Tensor.create(DType.INT64, [values.length], { kind: 'inline', bytes });
}

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, index) => dim === b[index]);
}

/** The stored value in other dimensions: itself, a second tensor over the same bytes, or the output of a Reshape. */
function viewAs(
  { model, options }: TieWork,
  stored: { readonly value: Value; readonly tensor: Tensor },
  dims: readonly number[],
  before: Node,
): Value {
  // The output of a Constant node may stand behind `before`; a tensor of its own over the same bytes never does.
  const isInitializer = stored.value.producer === undefined;
  if (isInitializer && sameDims(stored.tensor.dims, dims)) return stored.value;
  const { graph } = stored.value;
  const name = model.names.claim(`${stored.value.name}_${dims.length === 3 ? 'blocks' : 'rows'}`);
  if (options.tieStyle === 'range' || !isInitializer) {
    return graph.createInitializer(
      name,
      Tensor.create(stored.tensor.dtype, dims, stored.tensor.data),
    );
  }
  const shape = graph.createInitializer(model.names.claim(`${name}_shape`), int64Tensor(dims));
  const reshape = before.graph.createNode({
    opType: 'Reshape',
    name: model.names.claim(`${name}_reshape`),
    inputs: [stored.value, shape],
    outputs: [name],
  });
  before.graph.insertBefore(before, reshape);
  const output = reshape.outputs[0];
  if (output === undefined) throw new Error('a Reshape without output');
  return output;
}

/** The table as inputs for MatMulNBits (codes in blocks) or GatherBlockQuantized (codes in rows). */
function tableValues(
  work: TieWork,
  table: QuantizedTable,
  shape: 'blocks' | 'flat',
  before: Node,
): QuantizedValues {
  const { n, k, bits, blockSize } = table;
  const kBlocks = ceilDiv(k, blockSize);
  const blob = (blockSize * bits) / 8;
  const codes = viewAs(
    work,
    table.codes,
    shape === 'blocks' ? [n, kBlocks, blob] : [n, kBlocks * blob],
    before,
  );
  const scales = viewAs(work, table.scales, [n, kBlocks], before);
  const { zeroPoints } = table;
  const packed = ceilDiv(kBlocks * bits, 8);
  return {
    codes,
    scales,
    zeroPoints: zeroPoints && viewAs(work, zeroPoints, [n, packed], before),
  };
}

function geometry(table: QuantizedTable) {
  const { n, k } = table;
  return {
    n,
    k,
    bits: table.bits as 2 | 4 | 8,
    blockSize: table.blockSize as 16 | 32 | 64 | 128 | 256,
  };
}

/** A float or quantized head over a quantized embedding: the head reads the embedding's table. */
export async function tieToEmbedding(
  work: TieWork,
  embedding: QuantizedEmbedding,
  linear: Linear,
): Promise<TieOutcome> {
  const { table } = embedding;
  const obstacle = tableObstacle(table);
  if (obstacle !== undefined) return { reason: obstacle };
  let reason: string | undefined;
  if (linear.kind === 'quantized') {
    if (sameData(linear.table.codes.tensor.data, table.codes.tensor.data)) {
      return { reason: TIED_ALREADY };
    }
    if (linear.table.scales.tensor.dtype !== table.scales.tensor.dtype) {
      return { reason: scaleReason(linear.table.scales.tensor.dtype, table) };
    }
    reason = await quantizedPairReason(table, linear.table, work.gates);
  } else {
    const weight = floatTable(linear.weight, linear);
    if (typeof weight === 'string') return { reason: weight };
    if (weight.type !== table.scales.tensor.dtype) {
      return { reason: scaleReason(weight.type, table) };
    }
    reason = await encodingOf(weight, table, work.gates);
  }
  if (reason !== undefined) return { reason };
  const values = tableValues(work, table, 'blocks', linear.node);
  const unread = linear.node.inputs.slice(1);
  replaceByMatMulNBits(work.model, linear, values, geometry(table), work.options);
  removeUnread(work.model, unread);
  const what = `reads the embedding's ${table.bits}-bit table`;
  return { what, warnings: accuracyWarnings(table.bits, work.options.accuracyLevel) };
}

function scaleReason(dtype: number, table: QuantizedTable): string {
  return `the head computes in ${dtypeLabel(dtype)}, the table's scales are ${dtypeLabel(table.scales.tensor.dtype)}`;
}

/** A float embedding under a quantized head: the embedding reads the head's table. */
export async function tieFloatEmbedding(
  work: TieWork,
  embedding: FloatEmbedding,
  linear: QuantizedLinear,
): Promise<TieOutcome> {
  const { table } = linear;
  const obstacle = tableObstacle(table);
  if (obstacle !== undefined) return { reason: obstacle };
  const kBlocks = table.k / table.blockSize;
  if (table.zeroPoints !== undefined && (kBlocks * table.bits) % 8 !== 0) {
    return {
      reason: `rows of ${kBlocks} blocks with packed zero points are read wrongly by ONNX Runtime up to 1.26`,
    };
  }
  const weight = floatTable(embedding.table, {
    layout: embedding.layout,
    n: embedding.vocabSize,
    k: embedding.hiddenSize,
  });
  if (typeof weight === 'string') return { reason: weight.replace('its weight', 'the table') };
  if (weight.type !== table.scales.tensor.dtype) {
    return {
      reason: `the embedding is ${dtypeLabel(weight.type)}, the head's scales are ${dtypeLabel(table.scales.tensor.dtype)}`,
    };
  }
  const reason = await encodingOf(weight, table, work.gates);
  if (reason !== undefined) return { reason };
  const lookups = lookupsOf(work.model, embedding);
  const values = tableValues(work, table, 'flat', embedding.node);
  const unread = lookups.map((node) => node.inputs[0]);
  for (const node of lookups) {
    replaceByGatherBlockQuantized(work.model, node, values, geometry(table));
  }
  removeUnread(work.model, unread);
  const what = `its ${table.bits}-bit table is read by the embedding`;
  return { what, warnings: table.zeroPoints === undefined ? [NO_ZERO_POINTS] : [] };
}

/** Two float copies: the head reads the embedding's, through a Transpose where the layouts differ. */
export async function tieFloatCopies(
  work: TieWork,
  embedding: FloatEmbedding,
  linear: FloatLinear,
): Promise<TieOutcome> {
  const { model } = work;
  if (sameData(linear.weight.tensor.data, embedding.table.tensor.data)) {
    return { reason: TIED_ALREADY };
  }
  const { resultRank } = linear;
  if (resultRank !== undefined) {
    return {
      reason: `the head gives its result ${resultRank} dimensions, which the table would not`,
    };
  }
  const head = floatTable(linear.weight, linear);
  const table = floatTable(embedding.table, {
    layout: embedding.layout,
    n: embedding.vocabSize,
    k: embedding.hiddenSize,
  });
  if (typeof head === 'string') return { reason: head };
  if (typeof table === 'string') return { reason: table.replace('its weight', 'the table') };
  if (head.type !== table.type) {
    return {
      reason: `the head is ${dtypeLabel(head.type)}, the embedding ${dtypeLabel(table.type)}`,
    };
  }
  const reason = differenceReason(await work.gates.compareTables(table, head));
  if (reason !== undefined) return { reason };
  const { node } = linear;
  const wanted = node.is('Gemm') && intAttribute(node, 'transB', 0) !== 0 ? 'rows' : 'columns';
  let weight = embedding.table.source;
  if (embedding.layout !== wanted) {
    const transpose = node.graph.createNode({
      opType: 'Transpose',
      name: model.names.claim(`${node.name || 'head'}_transpose`),
      inputs: [weight],
      outputs: [model.names.claim(`${weight.name}_transposed`)],
      attributes: { perm: { ints: [1, 0] } },
    });
    node.graph.insertBefore(node, transpose);
    weight = transpose.outputs[0] ?? weight;
  }
  const [, copy] = node.inputs;
  node.setInput(1, weight);
  removeUnread(model, [copy]);
  return { what: "reads the embedding's table" };
}
