/** The embedding table and the head of a model, as a report shows them. Pure. */

import type { Embedding } from '../anatomy/embedding.ts';
import type { Linear } from '../anatomy/linear.ts';
import { dtypeLabel } from '../dtypes.ts';
import type { TensorData } from '../model/tensor-data.ts';

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

export function tableReport(part: Embedding | Linear): TableReport {
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

/** How the tables are stored, as far as their places tell. */
export function tieState(embedding: Embedding | undefined, head: Linear | undefined): TieState {
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
