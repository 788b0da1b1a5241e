/** Weights that reach a product in the body of a function as one of its inputs. Pure. */

import type { Model } from '../model/model.ts';
import { type Node, plainDomain } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { sourceThroughViews, traceConstant } from './weight.ts';

/**
 * Why the right-hand side of a product in a function is no constant, when callers pass a constant for it; undefined when
 * they do not, so that it is no weight.
 */
export function passedWeightReason(model: Model, node: Node): string | undefined {
  const input = sourceThroughViews(node.inputs[1]);
  const body = input?.graph.function;
  if (input?.isGraphInput !== true || input.graph.kind !== 'function' || !body) return undefined;
  const index = input.graph.inputs.indexOf(input);
  const callers = [...model.nodesOf(body.name ?? '')].filter(
    (caller) => caller.domain === plainDomain(body.domain) && isPassed(model, caller.inputs[index]),
  );
  if (callers.length === 0) return undefined;
  return `its weight is the input "${input.name}" of the function ${body.name}, which ${callers.length} of its callers give`;
}

function isPassed(model: Model, value: Value | undefined): boolean {
  const { tensor } = traceConstant(model, value) ?? {};
  return tensor !== undefined && tensor.dims.length >= 2;
}
