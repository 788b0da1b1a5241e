/** Sums over every tensor of a model. Pure. */

import { WeightCount } from '../anatomy/weight-count.ts';
import { dtypeLabel } from '../dtypes.ts';
import type { OpenedModel } from '../external-data/open-model.ts';
import { isSafetensorsName } from '../external-data/safetensors.ts';
import { headerByteLength } from '../external-data/safetensors-header.ts';
import type { Model } from '../model/model.ts';
import { UsedBytes } from '../model/used-bytes.ts';

/** Bytes of one file of the model. */
export interface FileUse {
  readonly path: string;
  readonly byteLength: number;
  /** Bytes that tensors refer to, and the header of safetensors; for the `.onnx` all of it. */
  readonly aliveBytes: number;
  /** Of these, the header of safetensors, else 0. */
  readonly headerBytes: number;
  /** Bytes no tensor refers to, padding included. */
  readonly deadBytes: number;
  /** Bytes that would come on top if no two tensors shared any. */
  readonly aliasedBytes: number;
}

/** Tensors of one element type. */
export interface TypeUse {
  readonly dtype: string;
  readonly tensors: number;
  readonly byteLength: number;
}

/** What one look at every tensor tells. */
export class TensorTotals {
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

/** How the bytes of each file are used. */
export function fileUses({ files, locations }: OpenedModel, used: UsedBytes): FileUse[] {
  const use = used.byFile();
  return files.files.map((file) => {
    const { path, byteLength } = file;
    const { distinct, referred } = use.get(file) ?? { distinct: 0, referred: 0 };
    const hasHeader = distinct > 0 && isSafetensorsName(locations.get(file) ?? '');
    const headerBytes = hasHeader ? headerByteLength(file) : 0;
    const aliveBytes = file === files.model ? byteLength : distinct + headerBytes;
    // Ranges may reach into the header of a file that is damaged.
    const deadBytes = Math.max(0, byteLength - aliveBytes);
    const aliasedBytes = referred - distinct;
    return { path, byteLength, aliveBytes, headerBytes, deadBytes, aliasedBytes };
  });
}
