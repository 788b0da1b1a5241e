/**
 * `compat: olive`: the codes, scales, zero points, shapes and names that Microsoft Olive's quantizing passes give, with
 * their defects, for comparing with Olive and for pipelines that expect its results. Pure.
 */

import { DType } from '../dtypes.ts';
import { UsageError } from '../errors.ts';
import type { QuantizeMethod, QuantizeParameters, WeightLayout } from '../kernels/kernel.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { renameValues } from '../model/rename.ts';
import type { Value } from '../model/value.ts';
import type { QuantizableWeight } from './blockwise.ts';

/** Options as a user gives them. */
type Wanted = Pick<QuantizeParameters, 'bits' | 'blockSize' | 'symmetric'> & {
  readonly method: QuantizeMethod | 'auto';
};

interface WeightShape {
  readonly layout: WeightLayout;
  readonly n: number;
  readonly k: number;
}

/** What a weight is for: Olive's passes treat a MatMul and a Gather differently. */
export type WeightUse = 'product' | 'table';

/** Blocks of QuantizeEmbeddingInt8, which has no options. */
const INT8_BLOCK_SIZE = 32;

function isInt8(use: WeightUse, { method, bits }: Wanted): boolean {
  return use === 'table' && method === 'auto' && bits === 8;
}

/** Why no pass of Olive quantizes this way; undefined when one does. */
export function oliveGap(use: WeightUse, wanted: Wanted): string | undefined {
  const { method, bits, blockSize, symmetric } = wanted;
  if (bits === 2) return 'Olive has 4 and 8 bits, not 2';
  if (isInt8(use, wanted)) {
    if (blockSize !== INT8_BLOCK_SIZE) {
      return `QuantizeEmbeddingInt8 has blocks of ${INT8_BLOCK_SIZE}, not ${blockSize}`;
    }
    return symmetric ? 'QuantizeEmbeddingInt8 always has zero points' : undefined;
  }
  if (method === 'search') return 'Olive has no method search';
  if (method !== 'k-quant') return undefined;
  if (use === 'table') return 'Olive has no K-quant for tables';
  return symmetric ? 'K-quant of Olive always has zero points' : undefined;
}

/** Throws a UsageError for options that no pass of Olive has. */
export function checkOliveOptions(
  use: WeightUse,
  options: Wanted & { readonly compat: 'none' | 'olive' },
): void {
  const gap = options.compat === 'olive' ? oliveGap(use, options) : undefined;
  if (gap === undefined) return;
  throw new UsageError('ERR_OPTION', `compat olive: ${gap}`, {
    hint: 'see docs/methods.md for what the passes of Olive have',
  });
}

/** The quantizer that gives Olive's bytes, or why Olive's result could not be used. */
export function oliveParameters(
  use: WeightUse,
  { type }: QuantizableWeight,
  { layout, n, k }: WeightShape,
  wanted: Wanted,
): QuantizeParameters | string {
  const gap = oliveGap(use, wanted);
  if (gap !== undefined) return gap;
  const { bits, blockSize, symmetric } = wanted;
  const shape = { type, bits, blockSize, symmetric, layout, n, k };
  if (use === 'product') {
    if (wanted.method === 'k-quant') {
      const isSingle = n > 1 && k <= blockSize;
      return { ...shape, method: isSingle ? 'olive-k-quant-single' : 'olive-k-quant' };
    }
    if (type === DType.BFLOAT16) return 'its weight is bf16, of which Olive stores no scales';
    return { ...shape, method: 'olive-rtn' };
  }
  if (!isInt8(use, wanted)) {
    if (bits === 4 && k % 2 === 1) return `its width ${k} is odd, which 4 bits cannot say`;
    return { ...shape, method: 'olive-gather' };
  }
  if (type === DType.BFLOAT16) return 'its table is bf16, which QuantizeEmbeddingInt8 leaves alone';
  if (k % INT8_BLOCK_SIZE !== 0) {
    return `its width ${k} is not a multiple of ${INT8_BLOCK_SIZE}, so QuantizeEmbeddingInt8 leaves it alone`;
  }
  return { ...shape, method: 'olive-int8' };
}

/** Gives results of replaced nodes the names that Olive gives them; those of the model keep theirs. */
export class OliveNames {
  readonly #names = new Map<Value, string>();

  /** Notes the result of a node that is about to be replaced. In bodies, where Olive renames too, it keeps its name. */
  add(node: Node, { method, bits }: Pick<QuantizeParameters, 'method' | 'bits'>): void {
    const [output] = node.outputs;
    const isMain = node.graph.kind === 'graph' && node.graph.parent === undefined;
    if (output === undefined || !isMain || output.isGraphOutput) return;
    this.#names.set(output, `${output.name}${method === 'olive-int8' ? '_gbq' : `_Q${bits}`}`);
  }

  apply(model: Model): void {
    const names = [...this.#names].map(([value, name]): [Value, string] => [
      value,
      model.names.claim(name),
    ]);
    if (names.length > 0) renameValues(model, new Map(names));
  }
}
