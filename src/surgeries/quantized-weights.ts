/** Quantized tables and the float weights they are made of: which nodes share one, which weights have several. Pure. */

import { constantTensor } from '../anatomy/weight.ts';
import { formatSize } from '../bytes.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import type { Derivation, FileRange } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';
import { type QuantizedValues, quantizedInitializers } from './blockwise.ts';

/** Makes a table when it is first asked for; nodes that want the same one share it. */
export class QuantizedWeights {
  readonly #model: Model;
  readonly #tables = new Map<Value, Map<string, QuantizedValues>>();

  constructor(model: Model) {
    this.#model = model;
  }

  /** The table of a weight, made as `parameters` say. */
  table(
    weight: { readonly source: Value; readonly range: FileRange },
    parameters: QuantizeParameters,
  ): QuantizedValues {
    const tables = this.#tables.get(weight.source) ?? new Map<string, QuantizedValues>();
    this.#tables.set(weight.source, tables);
    const key = JSON.stringify(Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1)));
    const table =
      tables.get(key) ?? quantizedInitializers(this.#model, weight, parameters, 'blocks');
    tables.set(key, table);
    return table;
  }

  /** The weights that were quantized. */
  get sources(): Value[] {
    return [...this.#tables.keys()];
  }
}

type Quantization = Extract<Derivation, { kernel: 'quantize' }>;

function describe({ outputs, parameters }: Quantization, name: string, isLaidOut: boolean): string {
  const way = isLaidOut ? ` from ${parameters.layout}` : '';
  const byteLength = outputs.reduce((sum, output) => sum + output.byteLength, 0);
  return `"${name}" (${parameters.bits} bits${way}, ${formatSize(byteLength)})`;
}

function rangeKey({ file, byteOffset }: FileRange): string {
  return `${file.fd}:${byteOffset}`;
}

/** Constants of all graphs as they are now, with their names: initializers, and Constant nodes that hold derived data. */
function* constants(model: Model): Generator<{ readonly name: string; readonly tensor: Tensor }> {
  for (const graph of model.graphs()) {
    yield* graph.initializers.tensors();
    for (const node of graph.nodesOf('Constant')) {
      const [value] = node.outputs;
      const tensor = constantTensor(model, value);
      if (value !== undefined && tensor !== undefined) yield { name: value.name, tensor };
    }
  }
}

/** Float weights that are stored quantized in more than one way, in words, and how much each takes. */
export function repeatedTables(model: Model): string[] {
  const tables = new Map<string, Map<Quantization, string>>();
  for (const { name, tensor } of constants(model)) {
    const { data } = tensor;
    if (data.kind !== 'derived' || data.output !== 0) continue;
    const { derivation } = data;
    if (derivation.kernel !== 'quantize') continue;
    const key = rangeKey(derivation.sources[0]);
    const made = tables.get(key) ?? new Map<Quantization, string>();
    tables.set(key, made);
    if (!made.has(derivation)) made.set(derivation, name);
  }
  return [...tables.values()].flatMap((made) => {
    if (made.size < 2) return [];
    const layouts = new Set([...made.keys()].map(({ parameters }) => parameters.layout));
    const ways = [...made].map(([derivation, name]) =>
      describe(derivation, name, layouts.size > 1),
    );
    return [`one weight is stored ${made.size} times: ${ways.join(', ')}`];
  });
}
