/** Finds the language-model head: the linear layer whose result becomes the logits. Pure. */

import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { describeLinear, type Linear } from './linear.ts';
import { parseStateName } from './state-names.ts';
import { constantTensor } from './weight.ts';

/** The head and the graph output it feeds. */
export interface Head {
  readonly linear: Linear;
  readonly logits: Value;
  /** Nodes between the linear layer and the output: bias, scale, soft-cap, Cast, Slice. */
  readonly after: readonly Node[];
}

/** What exporters put between the head and the logits; all but bias and scale read one data input. */
const AFTER_HEAD = new Set([
  'Add',
  'Cast',
  'Div',
  'Gather',
  'Identity',
  'Mul',
  'Reshape',
  'Slice',
  'Softcap',
  'Squeeze',
  'Tanh',
  'Unsqueeze',
]);

/** The one input that is not a constant; undefined when two values are combined. */
function dataInput(model: Model, node: Node): Value | undefined {
  const varying = node.inputs.filter(
    (input) => input !== undefined && constantTensor(model, input) === undefined,
  );
  if (node.is('Slice') || node.is('Gather') || node.is('Reshape')) return node.inputs[0];
  return varying.length === 1 ? varying[0] : undefined;
}

function headOf(model: Model, logits: Value): Head | undefined {
  const after: Node[] = [];
  let node = logits.producer;
  while (node !== undefined && after.length < 16) {
    const linear = describeLinear(model, node);
    if (linear !== undefined) {
      return linear.kind === 'none' ? undefined : { linear, logits, after };
    }
    if (node.domain !== '' || !AFTER_HEAD.has(node.opType)) return undefined;
    after.push(node);
    node = dataInput(model, node)?.producer;
  }
  return undefined;
}

/**
 * The head is behind the output called `logits` when there is one; otherwise behind the output, not a cache or a
 * state, whose linear layer is the widest. Undefined when no output leads back to one.
 */
export function findHead(model: Model): Head | undefined {
  const outputs = model.graph.outputs.filter((output) => parseStateName(output.name) === undefined);
  const named = outputs.find((output) => output.name === 'logits');
  const candidates = named === undefined ? outputs : [named];
  let best: Head | undefined;
  for (const output of candidates) {
    const head = headOf(model, output);
    if (head === undefined) continue;
    if (best === undefined || head.linear.n > best.linear.n) best = head;
  }
  return best;
}
