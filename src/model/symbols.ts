/** Names of sizes (`dim_param`), wherever a model states shapes. Pure. */

import { peek } from '../proto/deferred.ts';
import { toInt64 } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import { type FoundMessage, messagesOf } from './messages.ts';
import type { Model } from './model.ts';
import { syncModel } from './sync.ts';

type Dimension = onnx.TensorShapeProto.IDimension | onnx.ISimpleShardedDimProto;

function* typeDimensions(type: onnx.ITypeProto | null | undefined): Generator<Dimension> {
  if (!type) return;
  yield* type.tensorType?.shape?.dim ?? [];
  yield* type.sparseTensorType?.shape?.dim ?? [];
  yield* typeDimensions(type.sequenceType?.elemType);
  yield* typeDimensions(type.optionalType?.elemType);
  yield* typeDimensions(type.mapType?.valueType);
}

/** Types among the attributes of a node, and how its values are split among devices. */
function* nodeDimensions(node: onnx.INodeProto): Generator<Dimension> {
  for (const { tp, typeProtos } of node.attribute ?? []) {
    yield* typeDimensions(tp);
    for (const type of typeProtos ?? []) yield* typeDimensions(type);
  }
  for (const { shardingSpec } of node.deviceConfigurations ?? []) {
    for (const { shardedDim } of shardingSpec ?? []) {
      for (const { simpleSharding } of shardedDim ?? []) yield* simpleSharding ?? [];
    }
  }
}

/** The dimensions of a message: to look at, or, when it is to be decoded for good, to change. */
function* dimensionsOf(found: FoundMessage, forChange: boolean): Generator<Dimension> {
  if (found.kind === 'node') yield* nodeDimensions(forChange ? found.node : peek(found.node));
  if (found.kind === 'info') {
    yield* typeDimensions((forChange ? found.info : peek(found.info)).type);
  }
}

/** How many dimensions each symbol stands for: in all places, and outside of functions. */
export interface SymbolCounts {
  readonly all: ReadonlyMap<string, number>;
  readonly outsideFunctions: ReadonlyMap<string, number>;
}

/** Counts the symbols of a model. */
export function countSymbols(model: Model): SymbolCounts {
  const all = new Map<string, number>();
  const outsideFunctions = new Map<string, number>();
  for (const found of messagesOf(syncModel(model))) {
    for (const { dimParam } of dimensionsOf(found, false)) {
      if (!dimParam) continue;
      all.set(dimParam, (all.get(dimParam) ?? 0) + 1);
      if (found.owner !== undefined) continue;
      outsideFunctions.set(dimParam, (outsideFunctions.get(dimParam) ?? 0) + 1);
    }
  }
  return { all, outsideFunctions };
}

/**
 * Puts another symbol, or a size, where a symbol stands. Sizes stay out of functions: a function may be called with
 * others.
 */
export function replaceSymbols(
  model: Model,
  replacements: ReadonlyMap<string, string | number>,
): void {
  for (const found of messagesOf(syncModel(model))) {
    const replacement = ({ dimParam }: Dimension) => {
      const wanted = dimParam ? replacements.get(dimParam) : undefined;
      return typeof wanted === 'number' && found.owner !== undefined ? undefined : wanted;
    };
    const isReplaced = (dimension: Dimension) => replacement(dimension) !== undefined;
    if (![...dimensionsOf(found, false)].some(isReplaced)) continue;
    for (const dimension of dimensionsOf(found, true)) {
      const wanted = replacement(dimension);
      if (typeof wanted === 'string') dimension.dimParam = wanted;
      if (typeof wanted !== 'number') continue;
      delete dimension.dimParam;
      dimension.dimValue = toInt64(wanted, 'a dimension');
    }
  }
}
