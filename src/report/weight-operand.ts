/** Weights of a model, however they are stored, as one matrix of N channels of K elements. */

import type { BlockedWeight } from '../anatomy/blocked-weight.ts';
import type { QuantizedTable } from '../anatomy/quantized-table.ts';
import { ceilDiv } from '../bytes.ts';
import type { FloatTypeCode } from '../kernels/kernel.ts';
import type { BlockReader } from '../kernels/measure-weight.ts';
import type { Tensor } from '../model/tensor.ts';
import { bytesInMemory } from '../model/tensor-bytes.ts';
import type { NativeNumbers, NativeOperand } from '../native.ts';
import { type ElementFormat, readPart, type StoredMatrix } from './stored-matrix.ts';

/** A weight as it is stored. `transposed`: its matrices have a column for each channel. */
export interface WeightOperand {
  readonly n: number;
  readonly k: number;
  readonly transposed: boolean;
  /** The weight itself, or its codes. */
  readonly values: StoredMatrix;
  /** How codes are decoded; undefined for floats. */
  readonly blocks: BlockCoders | undefined;
  /** `fp16`, `4 bits, blocks of 32`. */
  readonly storage: string;
}

/** Scales and zero points of blocks along K. */
export interface BlockCoders {
  readonly blockSize: number;
  readonly scales: StoredMatrix;
  /** Undefined: `zeroPoint` for every block. */
  readonly zeroPoints: StoredMatrix | undefined;
  readonly zeroPoint: number;
}

/** Channels and elements of a weight. */
export interface Band {
  readonly firstChannel: number;
  readonly channels: number;
  readonly firstElement: number;
  readonly elements: number;
}

function isFloat(dtype: number): dtype is FloatTypeCode {
  return dtype === 1 || dtype === 10 || dtype === 16;
}

function matrix(
  tensor: Tensor,
  rows: number,
  columns: number,
  format: ElementFormat,
): StoredMatrix | undefined {
  const source = tensor.data.kind === 'range' ? tensor.data : bytesInMemory(tensor);
  return source && { source, rows, columns, format };
}

function floatMatrix(tensor: Tensor, rows: number, columns: number): StoredMatrix | undefined {
  return isFloat(tensor.dtype)
    ? matrix(tensor, rows, columns, { kind: 'float', type: tensor.dtype })
    : undefined;
}

const FLOAT_NAMES = { 1: 'fp32', 10: 'fp16', 16: 'bf16' } as const;

/** A float tensor as [n, k], or as [k, n] when transposed. Undefined for other types and values that are not at hand. */
export function floatOperand(
  tensor: Tensor,
  n: number,
  k: number,
  transposed: boolean,
): WeightOperand | undefined {
  const values = transposed ? floatMatrix(tensor, k, n) : floatMatrix(tensor, n, k);
  if (values?.format.kind !== 'float') return undefined;
  const storage = FLOAT_NAMES[values.format.type];
  return { n, k, transposed, values, blocks: undefined, storage };
}

function isWidth(bits: number): bits is 2 | 4 | 8 {
  return bits === 2 || bits === 4 || bits === 8;
}

function blockText(bits: number, blockSize: number): string {
  return `${bits} bits, blocks of ${blockSize}`;
}

/** The table of a MatMulNBits or GatherBlockQuantized. Undefined for widths and types of scales that are not known. */
export function tableOperand(table: QuantizedTable): WeightOperand | undefined {
  const { bits, blockSize, n, k } = table;
  // Blocks of other sizes do not end where bytes do.
  if (!isWidth(bits) || (blockSize & (blockSize - 1)) !== 0 || blockSize > 256) return undefined;
  const kBlocks = ceilDiv(k, blockSize);
  const code = { kind: 'code', bits, isSigned: false } as const;
  const packed = (ceilDiv(kBlocks * bits, 8) * 8) / bits;
  const values = matrix(table.codes.tensor, n, kBlocks * blockSize, code);
  const scales = floatMatrix(table.scales.tensor, n, kBlocks);
  const zeroPoints = table.zeroPoints && matrix(table.zeroPoints.tensor, n, packed, code);
  if (!values || !scales || (table.zeroPoints && !zeroPoints)) return undefined;
  const blocks = { blockSize, scales, zeroPoints, zeroPoint: 2 ** (bits - 1) };
  return { n, k, transposed: false, values, blocks, storage: blockText(bits, blockSize) };
}

/** A weight behind a blocked DequantizeLinear. Undefined where blocks are larger than what is measured as one. */
export function blockedOperand(weight: BlockedWeight): WeightOperand | undefined {
  const { n, k, bits, isSigned, blockSize, layout } = weight;
  if (blockSize < 1) return undefined;
  const code = { kind: 'code', bits, isSigned } as const;
  const transposed = layout === 'columns';
  const shape = (columns: number) =>
    transposed ? ([columns, n] as const) : ([n, columns] as const);
  const kBlocks = k / blockSize;
  const values = matrix(weight.codes.tensor, ...shape(k), code);
  const scales = floatMatrix(weight.scales.tensor, ...shape(kBlocks));
  const zeroPoints = weight.zeroPoints && matrix(weight.zeroPoints.tensor, ...shape(kBlocks), code);
  if (!values || !scales || (weight.zeroPoints && !zeroPoints)) return undefined;
  const blocks = { blockSize, scales, zeroPoints, zeroPoint: 0 };
  return { n, k, transposed, values, blocks, storage: blockText(bits, blockSize) };
}

/** The numbers of a part of a stored matrix, and how they lie. */
function partOf(stored: StoredMatrix, transposed: boolean, band: Band): NativeNumbers {
  const { firstChannel, channels, firstElement, elements } = band;
  const part = transposed
    ? { firstRow: firstElement, rows: elements, firstColumn: firstChannel, columns: channels }
    : { firstRow: firstChannel, rows: channels, firstColumn: firstElement, columns: elements };
  const numbers = readPart(stored, part);
  return transposed
    ? { numbers, channelPitch: 1, pitch: channels }
    : { numbers, channelPitch: elements, pitch: 1 };
}

/** Reads a band into memory. */
export function readBand(weight: WeightOperand, band: Band): NativeOperand {
  const { transposed, blocks } = weight;
  const { firstElement, elements } = band;
  const values = partOf(weight.values, transposed, band);
  if (blocks === undefined) return { values };
  const { blockSize, scales, zeroPoints, zeroPoint } = blocks;
  const firstBlock = Math.floor(firstElement / blockSize);
  const blockBand = {
    ...band,
    firstElement: firstBlock,
    elements: ceilDiv(firstElement + elements, blockSize) - firstBlock,
  };
  return {
    values,
    blocks: {
      blockSize,
      offset: firstElement - firstBlock * blockSize,
      scales: partOf(scales, transposed, blockBand),
      zeroPoints: zeroPoints && partOf(zeroPoints, transposed, blockBand),
      zeroPoint,
    },
  };
}

function numberAt({ numbers, channelPitch, pitch }: NativeNumbers, channel: number, at: number) {
  return numbers[channel * channelPitch + at * pitch] as number;
}

/** What the numbers of a band stand for; channels and elements are counted from its first ones. */
export function bandReader({ values, blocks }: NativeOperand): BlockReader {
  if (blocks === undefined) {
    return (channel, first, count, numbers) => {
      for (let i = 0; i < count; i++) numbers[i] = numberAt(values, channel, first + i);
    };
  }
  const { blockSize, offset, scales, zeroPoints, zeroPoint } = blocks;
  return (channel, first, count, numbers) => {
    for (let i = 0; i < count; ) {
      const element = offset + first + i;
      const block = Math.floor(element / blockSize);
      const end = Math.min(count, i + blockSize - (element % blockSize));
      const scale = numberAt(scales, channel, block);
      const point = zeroPoints ? numberAt(zeroPoints, channel, block) : zeroPoint;
      // Rounded once, by being stored: the product of a binary32 number and a small integer is exact before.
      for (; i < end; i++) numbers[i] = (numberAt(values, channel, first + i) - point) * scale;
    }
  };
}
