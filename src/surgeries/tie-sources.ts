/** The evidence that two tables are one: where their bytes came from, or else what the gates find. */

import type { QuantizedTable } from '../anatomy/quantized-table.ts';
import type { ConstantView } from '../anatomy/weight.ts';
import { ceilDiv } from '../bytes.ts';
import type { WeightLayout } from '../kernels/kernel.ts';
import { rangeOf, type TensorData } from '../model/tensor-data.ts';
import { BLOCK_SIZES, isFloatType, quantizableWeight } from './blockwise.ts';
import type { Comparison, EncodingCheck, FloatTable, Gates, StoredTable } from './gates.ts';
import { comparePacked, type PackedRows, paddedRows } from './packed-rows.ts';

/** The float table a quantized one is being made from in this run; undefined when it came quantized. */
export function floatSource(table: QuantizedTable): FloatTable | undefined {
  const { data } = table.codes.tensor;
  if (data.kind !== 'derived' || data.derivation.kernel !== 'quantize') return undefined;
  const { parameters, sources } = data.derivation;
  const { type, layout, n, k } = parameters;
  return { range: sources[0], type, layout, n, k };
}

/** A float weight as the gates read it, or the reason why they cannot. */
export function floatTable(
  view: ConstantView,
  shape: { readonly layout: WeightLayout; readonly n: number; readonly k: number },
): FloatTable | string {
  const weight = quantizableWeight(view);
  if (typeof weight === 'string') return weight;
  return { ...weight, layout: shape.layout, n: shape.n, k: shape.k };
}

/** A quantized table that is stored in the input, as the gates read it, or the reason why they cannot. */
export function storedTable(table: QuantizedTable): StoredTable | string {
  const { bits, blockSize, n, k } = table;
  if (bits !== 2 && bits !== 4 && bits !== 8) return `it has ${bits} bits per element`;
  const size = BLOCK_SIZES.find((known) => known === blockSize);
  if (size === undefined) return `it has blocks of ${blockSize}`;
  const scaleType = table.scales.tensor.dtype;
  if (!isFloatType(scaleType)) return 'its scales are not fp32, fp16 or bf16';
  const codes = rangeOf(table.codes.tensor.data);
  const scales = rangeOf(table.scales.tensor.data);
  const zeroPoints = rangeOf(table.zeroPoints?.tensor.data);
  const isMissing = table.zeroPoints !== undefined && zeroPoints === undefined;
  if (codes === undefined || scales === undefined || isMissing) return 'it is too small to compare';
  return {
    codes,
    scales,
    scaleType,
    zeroPoints,
    bits,
    blockSize: size,
    n,
    k,
  };
}

/** True when both describe the same bytes, so that nothing need be compared. */
export function sameData(a: TensorData, b: TensorData): boolean {
  if (a === b) return true;
  const [left, right] = [rangeOf(a), rangeOf(b)];
  if (left !== undefined && right !== undefined) {
    return (
      left.file === right.file &&
      left.byteOffset === right.byteOffset &&
      left.byteLength === right.byteLength
    );
  }
  return (
    a.kind === 'derived' &&
    b.kind === 'derived' &&
    a.derivation === b.derivation &&
    a.output === b.output
  );
}

function place(first: { readonly row: number; readonly element: number } | undefined): string {
  return first === undefined ? '' : `, first at token ${first.row}, element ${first.element}`;
}

/** Why two float tables are not one table; undefined when they are. */
export function differenceReason(result: Comparison): string | undefined {
  if (result.different === 0) return undefined;
  return `not tied: ${result.different} of ${result.compared} compared elements of head and embedding differ${place(result.first)}`;
}

/** Why a quantized table is not the encoding of a float one; undefined when it is. */
export function encodingReason(result: EncodingCheck): string | undefined {
  if (result.rejected === 0) return undefined;
  const worst =
    result.worst === undefined
      ? ''
      : `; worst ${result.worstSteps.toFixed(2)} steps at token ${result.worst.row}, element ${result.worst.element}`;
  return `not tied: ${result.rejected} of ${result.compared} elements are not nearest to their code${worst}`;
}

/** Asks whether quantized tables `a` and `b` encode one float table, by the cheapest evidence at hand. */
export async function quantizedPairReason(
  a: QuantizedTable,
  b: QuantizedTable,
  gates: Gates,
): Promise<string | undefined> {
  const sourceA = floatSource(a);
  const sourceB = floatSource(b);
  if (sourceA !== undefined && sourceB !== undefined) {
    return differenceReason(await gates.compareTables(sourceA, sourceB));
  }
  const source = sourceA ?? sourceB;
  if (source !== undefined) return encodingOf(source, sourceA === undefined ? a : b, gates);
  return storedPairReason(a, b, gates);
}

/** Asks whether `table`, stored or being made, is the encoding of the float table `source`. */
export async function encodingOf(
  source: FloatTable,
  table: QuantizedTable,
  gates: Gates,
): Promise<string | undefined> {
  const made = floatSource(table);
  if (made !== undefined) return differenceReason(await gates.compareTables(made, source));
  const stored = storedTable(table);
  if (typeof stored === 'string') return `the quantized table cannot be checked: ${stored}`;
  return encodingReason(await gates.checkEncoding(source, stored));
}

async function storedPairReason(
  a: QuantizedTable,
  b: QuantizedTable,
  gates: Gates,
): Promise<string | undefined> {
  if (a.bits !== b.bits || a.blockSize !== b.blockSize) {
    return `head (${b.bits} bits, blocks of ${b.blockSize}) and embedding (${a.bits} bits, blocks of ${a.blockSize}) are quantized differently and no float table is left to compare with`;
  }
  if ((a.zeroPoints === undefined) !== (b.zeroPoints === undefined)) {
    return 'only one of head and embedding has zero points';
  }
  const kBlocks = ceilDiv(a.k, a.blockSize);
  const pairs = [
    ['codes', a.codes.tensor.data, b.codes.tensor.data, undefined],
    ['scales', a.scales.tensor.data, b.scales.tensor.data, undefined],
    // Quantizers fill the unused half of an odd row's last byte as they please.
    [
      'zero points',
      a.zeroPoints?.tensor.data,
      b.zeroPoints?.tensor.data,
      paddedRows(kBlocks, a.bits),
    ],
  ] as const;
  for (const [role, left, right, rows] of pairs) {
    if (left === undefined || right === undefined || sameData(left, right)) continue;
    const result = await compareData(left, right, rows, gates);
    if (result === undefined) return `the ${role} of head and embedding cannot be compared`;
    const { different, compared } = result;
    if (different > 0) {
      return `not tied: ${different} of ${compared} bytes of the ${role} of head and embedding differ`;
    }
  }
  return undefined;
}

async function compareData(
  a: TensorData,
  b: TensorData,
  rows: PackedRows | undefined,
  gates: Gates,
): Promise<Pick<Comparison, 'compared' | 'different'> | undefined> {
  if (a.kind === 'range' && b.kind === 'range' && a.byteLength === b.byteLength) {
    return gates.compareRanges(a, b, rows);
  }
  if (a.kind !== 'inline' || b.kind !== 'inline') return undefined;
  if (a.bytes.byteLength !== b.bytes.byteLength) return undefined;
  return {
    compared: a.bytes.byteLength,
    different: comparePacked(a.bytes, b.bytes, rows).different,
  };
}
