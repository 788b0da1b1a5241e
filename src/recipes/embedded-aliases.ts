/**
 * Sharing inside one file. Two TensorProtos can describe the same bytes of an external file, but not the same
 * `raw_data`: there one of them becomes a Reshape of the other, or simply the other.
 */

import { DType } from '../dtypes.ts';
import { namesHeldElsewhere } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import { Tensor } from '../model/tensor.ts';
import type { DerivedData, FileRange } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';

function keyOf(data: FileRange | DerivedData, derivations: Map<object, number>): string {
  if (data.kind === 'range') return `${data.file.fd}:${data.byteOffset}:${data.byteLength}`;
  const index = derivations.get(data.derivation) ?? derivations.size;
  derivations.set(data.derivation, index);
  return `d${index}:${data.output}`;
}

function shapeTensor(dims: readonly number[]): Tensor {
  const bytes = new Uint8Array(new BigInt64Array(dims.map(BigInt)).buffer);
  return Tensor.create(DType.INT64, [dims.length], { kind: 'inline', bytes });
}

/** Makes every reader of `alias` read `stored`, through a Reshape when the dimensions differ. */
function replaceAlias(model: Model, stored: Value, alias: Value): void {
  const { graph } = stored;
  const [a, b] = [stored.tensor, alias.tensor];
  if (a === undefined || b === undefined) return;
  if (a.dims.join() === b.dims.join()) {
    alias.replaceUsesWith(stored);
    graph.removeInitializer(alias);
    return;
  }
  const shape = graph.createInitializer(
    model.names.claim(`${alias.name}_shape`),
    shapeTensor(b.dims),
  );
  const node = graph.createNode({
    opType: 'Reshape',
    name: model.names.claim(`${alias.name}_reshape`),
    inputs: [stored, shape],
    outputs: [model.names.claim(`${alias.name}_view`)],
  });
  graph.nodes.unshift(node);
  const output = node.outputs[0];
  if (output !== undefined) alias.replaceUsesWith(output);
  graph.removeInitializer(alias);
}

/** Whether tensors of the main graph share payloads. Makes no values: there may be a million. */
function hasShared({ graph }: Model): boolean {
  const seen = new Set<string>();
  const derivations = new Map<object, number>();
  for (const { tensor } of graph.initializers.tensors()) {
    const { data } = tensor;
    if (data.kind !== 'range' && data.kind !== 'derived') continue;
    const key = keyOf(data, derivations);
    if (seen.has(key)) return true;
    seen.add(key);
  }
  return false;
}

/**
 * Gives every payload of the main graph one holder for each type it is read as. Does nothing to a model whose
 * payloads are all distinct.
 */
export function unshareEmbedded(model: Model): void {
  if (!hasShared(model)) return;
  const held = namesHeldElsewhere(model);
  const holders = new Map<string, Value>();
  const derivations = new Map<object, number>();
  for (const value of [...model.graph.initializers.values()]) {
    const data = value.tensor?.data;
    if (data?.kind !== 'range' && data?.kind !== 'derived') continue;
    const key = `${value.tensor?.dtype}/${keyOf(data, derivations)}`;
    const holder = holders.get(key);
    if (holder === undefined) holders.set(key, value);
    else if (value.isConstant && !value.isGraphOutput && !held.has(value.name)) {
      replaceAlias(model, holder, value);
    }
  }
}
