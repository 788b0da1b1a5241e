/**
 * Store equal initializers once.
 *
 * Initializers of one type and shape with the same bytes become the first of them in file order, in all graphs: one
 * inside a body becomes its outer twin when that can be read there. What must keep its name (an output, an input with
 * a default, a name in an annotation, equal tensors in two branches) goes on as a second tensor over the same bytes.
 * Equality is proven before anything changes: the same bytes of a file need no reading, everything else that could
 * be equal is compared to the last byte, which reads those tensors a second time.
 */

import { formatSize, KIB } from '../bytes.ts';
import { namesHeldElsewhere } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import { Tensor } from '../model/tensor.ts';
import type { Value } from '../model/value.ts';
import { isExternal } from '../proto/deferred.ts';
import { equalTensors, type StoredTensor } from './equal-tensors.ts';
import { nameHolder } from './name-holder.ts';
import { byteSize, choice } from './options.ts';
import { type Change, type Decline, defineSurgery } from './surgery.ts';
import { sameData } from './tie-sources.ts';

/**
 * Sharing bytes is for data files. Tensors up to this may be shapes, 1024 integers of 8 bytes, which a save keeps in
 * the graph, each with bytes of its own.
 */
const LARGEST_SHAPE = 8 * KIB;

/** Whether everything that reads `value` would find `other` by its name. */
function canRead(value: Value, other: Value): boolean {
  const scopes = [value.graph, ...value.consumers.map((node) => node.graph)];
  return scopes.every((graph) => {
    const found = graph.resolve(other.name);
    // One of the same name in a body is in the way only as long as it is there.
    return (
      found === other || (found === value && value.graph.parent?.resolve(other.name) === other)
    );
  });
}

function sameShape(a: Tensor, b: Tensor): boolean {
  return a.dims.join() === b.dims.join();
}

/** Replaces all but the first of equal tensors where their names can go, and shares the bytes where they cannot. */
class Merge {
  readonly changes: Change[] = [];
  readonly declined: Decline[] = [];
  readonly #held: ReadonlySet<string>;

  constructor(model: Model) {
    this.#held = namesHeldElsewhere(model);
  }

  join(entries: readonly StoredTensor[]): void {
    const kept: Value[] = [];
    for (const { graph, name } of entries) {
      const value = graph.initializers.get(name);
      if (value === undefined) continue;
      if (kept.length === 0 || !this.#joinOne(value, kept)) kept.push(value);
    }
  }

  /** Returns whether the value is gone. */
  #joinOne(value: Value, kept: readonly Value[]): boolean {
    const { tensor, name: node } = value;
    const [first] = kept;
    if (tensor === undefined || first?.tensor === undefined) return false;
    const size = formatSize(tensor.byteLength ?? 0);
    const holder = nameHolder(value, this.#held);
    const twin = kept.find(
      (other) =>
        other.isConstant &&
        other.tensor !== undefined &&
        sameShape(other.tensor, tensor) &&
        canRead(value, other),
    );
    if (holder === undefined && twin !== undefined) {
      value.replaceUsesWith(twin);
      value.graph.removeInitializer(value);
      this.changes.push({ node, what: `is "${twin.name}" now (${size})` });
      return true;
    }
    // A value in typed fields is in its message, where no other finds it.
    const sharer = kept.find(
      (other) => other.tensor !== undefined && other.tensor.data.kind !== 'proto',
    );
    const data = sharer?.tensor?.data;
    if (data !== undefined && sameData(tensor.data, data)) return false;
    const canShare = isExternal(tensor.proto) && (tensor.byteLength ?? 0) > LARGEST_SHAPE;
    if (sharer !== undefined && data !== undefined && canShare) {
      value.tensor = new Tensor(tensor.proto, tensor.dtype, tensor.dims, data);
      this.changes.push({ node, what: `shares the bytes of "${sharer.name}" (${size})` });
      return false;
    }
    const isAlike = sameShape(first.tensor, tensor);
    const why = holder ?? (isAlike ? 'no other can take its place' : 'its shape is another');
    const reason = `equal to another, but stored on its own: ${why}, and only tensors above ${formatSize(LARGEST_SHAPE)} in data files share bytes`;
    this.declined.push({ node, reason });
    return false;
  }
}

export default defineSurgery({
  name: 'dedupe-initializers',
  aliases: ['DeduplicateInitializers'],
  summary: 'Store initializers with equal bytes once, after comparing them in full',
  options: {
    minSize: byteSize({
      default: KIB,
      help: 'leave smaller ones alone: below 1 KiB they are shapes and scalars, which take no room; 0 for all',
    }),
    shapes: choice(['same', 'any'], {
      default: 'same',
      help: 'any: tensors of other shapes share the bytes too, under their own names',
    }),
  },
  async apply(model, options, gates) {
    const merge = new Merge(model);
    for (const entries of await equalTensors(model, options, gates)) merge.join(entries);
    return { changes: merge.changes, declined: merge.declined, warnings: [] };
  },
});
