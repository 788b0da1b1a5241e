/** The quantized tables of a run of `quantize-matmul`: one for each weight, layout and way of quantizing. Pure. */

import { formatSize } from '../bytes.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { FileRange } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';
import { type QuantizedValues, quantizedInitializers } from './blockwise.ts';

interface MadeTable {
  readonly values: QuantizedValues;
  readonly parameters: QuantizeParameters;
  /** First node that reads it. */
  readonly reader: string;
}

function byteLength({ codes, scales, zeroPoints }: QuantizedValues): number {
  const parts = [codes, scales, zeroPoints];
  return parts.reduce((sum, part) => sum + (part?.tensor?.byteLength ?? 0), 0);
}

function describe({ values, parameters, reader }: MadeTable, others: readonly MadeTable[]): string {
  const { bits, layout } = parameters;
  const isLaidOut = others.some((other) => other.parameters.layout !== layout);
  const way = isLaidOut && layout === 'rows' ? ' as [N, K]' : '';
  return `${bits} bits${way} for "${reader}" (${formatSize(byteLength(values))})`;
}

/** Makes a table when it is first asked for; nodes that want the same one share it. */
export class QuantizedWeights {
  readonly #model: Model;
  readonly #tables = new Map<Value, Map<string, MadeTable>>();

  constructor(model: Model) {
    this.#model = model;
  }

  /** The table of a weight, made as `parameters` say, for `reader`. */
  table(
    weight: { readonly source: Value; readonly range: FileRange },
    parameters: QuantizeParameters,
    reader: Node,
  ): QuantizedValues {
    const tables = this.#tables.get(weight.source) ?? new Map<string, MadeTable>();
    this.#tables.set(weight.source, tables);
    const key = JSON.stringify(Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1)));
    const known = tables.get(key);
    if (known !== undefined) return known.values;
    const values = quantizedInitializers(this.#model, weight, parameters, 'blocks');
    tables.set(key, { values, parameters, reader: reader.label });
    return values;
  }

  /** The weights that were quantized. */
  get sources(): Value[] {
    return [...this.#tables.keys()];
  }

  /** Weights of which there is more than one table now. */
  warnings(): string[] {
    return [...this.#tables].flatMap(([source, tables]) => {
      const made = [...tables.values()];
      if (made.length === 1) return [];
      const ways = made.map((table) => describe(table, made)).join(', ');
      return [`"${source.name}" is stored ${made.length} times: ${ways}`];
    });
  }
}
