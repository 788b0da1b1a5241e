/** Which inputs of a node carry activations, as opposed to shapes, axes and indices of fixed places. Pure. */

import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { constantTensor } from './weight.ts';

/** Operators of which the first input alone is data. */
const ONE_DATA_INPUT = new Set([
  'Cast',
  'CastLike',
  'Dropout',
  'Expand',
  'Flatten',
  'Identity',
  'Pad',
  'Reshape',
  'Resize',
  'Slice',
  'Split',
  'Squeeze',
  'Tile',
  'TopK',
  'Transpose',
  'Unsqueeze',
]);

/** Operators whose results hold nothing of what their inputs hold. */
const NO_DATA_INPUT = new Set(['ConstantOfShape', 'Range', 'Shape', 'Size']);

/** Operators that bend a signal: what stands between the two layers of an MLP. */
const ACTIVATIONS = new Set([
  'BiasGelu',
  'Celu',
  'Elu',
  'Erf',
  'FastGelu',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'LeakyRelu',
  'Mish',
  'PRelu',
  'QuickGelu',
  'Relu',
  'Selu',
  'Sigmoid',
  'Silu',
  'Softplus',
  'Swish',
  'Tanh',
]);

export function isActivation(node: Node): boolean {
  return ACTIVATIONS.has(node.opType);
}

/** The inputs of `node` whose contents its results are made of. Constants are left out. */
export function dataInputs(model: Model, node: Node): readonly Value[] {
  const isStandard = node.domain === '';
  if (isStandard && NO_DATA_INPUT.has(node.opType)) return [];
  const varying = (value: Value | undefined): value is Value =>
    value !== undefined && constantTensor(model, value) === undefined;
  if (isStandard && ONE_DATA_INPUT.has(node.opType)) return node.inputs.slice(0, 1).filter(varying);
  if (isStandard && (node.opType === 'Gather' || node.opType.startsWith('Gather'))) {
    // Rows of a constant table are told apart by their indices.
    const [data, ...indices] = node.inputs;
    return varying(data) ? [data] : indices.filter(varying);
  }
  return node.inputs.filter(varying);
}
