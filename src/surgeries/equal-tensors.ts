/** Initializers that hold the same bytes: by where the bytes are, by what is in memory, and by asking the gates. */

import type { Graph } from '../model/graph.ts';
import { groupBy } from '../model/groups.ts';
import type { Model } from '../model/model.ts';
import type { Tensor } from '../model/tensor.ts';
import { bytesInMemory } from '../model/tensor-bytes.ts';
import type { ByteSource, Gates } from './gates.ts';

/** An initializer, and its place in the order of the file. */
export interface StoredTensor {
  readonly graph: Graph;
  readonly name: string;
  readonly tensor: Tensor;
  readonly order: number;
}

/** What is looked for. */
export interface EqualityOptions {
  /** Tensors below this are left alone. */
  readonly minSize: number;
  /** `any`: tensors of different shapes may be equal. */
  readonly shapes: 'same' | 'any';
}

function* storedTensors(model: Model): Generator<StoredTensor> {
  let order = 0;
  for (const graph of model.graphs()) {
    for (const { name, tensor } of graph.initializers.tensors()) {
      yield { graph, name, tensor, order: order++ };
    }
  }
}

/** Tensors that could be equal: one element type, one length and, unless `any` will do, one shape. */
function candidates(model: Model, { minSize, shapes }: EqualityOptions): StoredTensor[][] {
  const groups = groupBy(storedTensors(model), ({ tensor: { byteLength, dtype, dims } }) => {
    if (byteLength === undefined || byteLength < minSize) return undefined;
    return `${dtype} ${byteLength} ${shapes === 'same' ? dims.join() : ''}`;
  });
  return [...groups.values()].filter((group) => group.length > 1);
}

/** Names bytes without reading a file: equal names are equal bytes. Undefined for what cannot be compared. */
class ByteNames {
  readonly #derivations = new Map<object, number>();

  of(tensor: Tensor): string | undefined {
    const { data } = tensor;
    if (data.kind === 'range') return `range ${data.file.fd} ${data.byteOffset}`;
    if (data.kind === 'derived') {
      const known = this.#derivations.get(data.derivation) ?? this.#derivations.size;
      this.#derivations.set(data.derivation, known);
      return `derived ${known} ${data.output}`;
    }
    const bytes = bytesInMemory(tensor);
    return (
      bytes &&
      `bytes ${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')}`
    );
  }
}

/** Tensors that hold the same bytes, and where those are. */
interface Bundle {
  readonly entries: StoredTensor[];
  readonly source: ByteSource;
}

/** What of a group the gates must compare: what is in memory was compared, but not with files. */
function toCompare(group: readonly StoredTensor[][]): Bundle[] {
  if (!group.some(([first]) => first?.tensor.data.kind === 'range')) return [];
  return group.flatMap((entries) => {
    const { data } = entries[0]?.tensor ?? {};
    const source = data?.kind === 'range' ? data : entries[0] && bytesInMemory(entries[0].tensor);
    return source === undefined ? [] : [{ entries, source }];
  });
}

/**
 * Sets of two and more initializers, of all graphs, that hold the same bytes; each in file order, outer scopes first.
 * Files are read through the gates, and only what could be equal.
 */
export async function equalTensors(
  model: Model,
  options: EqualityOptions,
  gates: Gates,
): Promise<StoredTensor[][]> {
  const names = new ByteNames();
  const groups = candidates(model, options).map((group) => [
    ...groupBy(group, ({ tensor }) => names.of(tensor)).values(),
  ]);
  const stored = groups.map(toCompare);
  const answers = await gates.findEqual(
    stored.map((bundles) => bundles.map(({ source }) => source)),
  );
  stored.forEach((bundles, group) => {
    bundles.forEach(({ entries }, index) => {
      const first = answers[group]?.[index] ?? index;
      if (first !== index) bundles[first]?.entries.push(...entries.splice(0));
    });
  });
  return groups
    .flat()
    .filter((entries) => entries.length > 1)
    .map((entries) => entries.sort((a, b) => a.order - b.order));
}
