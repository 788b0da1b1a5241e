/**
 * Turn Constant nodes into initializers of the same name, in the graph that holds the node.
 *
 * The bytes stay where they are; what had to be looked for in attributes is where every tool looks for weights.
 * Declined: nodes in the bodies of functions, which have no initializers; text; sparse values.
 */

import { DType, dtypeLabel } from '../dtypes.ts';
import { FREE_INITIALIZERS_IR, type Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { Tensor } from '../model/tensor.ts';
import { longToBigInt } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import { type Change, type Decline, defineSurgery, precondition } from './surgery.ts';

function inline(dtype: number, dims: readonly number[], array: ArrayBufferView): Tensor {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return Tensor.create(dtype, dims, { kind: 'inline', bytes });
}

/** The value that an attribute of a Constant gives, or why it cannot be an initializer. */
function constantValue(model: Model, attribute: onnx.IAttributeProto): Tensor | string | undefined {
  const { t, f, i, floats, ints } = attribute;
  switch (attribute.name) {
    case 'value':
      return (t && model.otherTensors.get(t)) ?? 'it has no value';
    case 'value_float':
      return inline(DType.FLOAT, [], Float32Array.of(f ?? 0));
    case 'value_floats':
      return inline(DType.FLOAT, [floats?.length ?? 0], Float32Array.from(floats ?? []));
    case 'value_int':
      return inline(DType.INT64, [], BigInt64Array.of(longToBigInt(i)));
    case 'value_ints':
      return inline(DType.INT64, [ints?.length ?? 0], BigInt64Array.from(ints ?? [], longToBigInt));
    case 'value_string':
    case 'value_strings':
      return 'its value is text, which gains nothing by being an initializer';
    case 'sparse_value':
      return 'its value is sparse, and as an initializer it would have to be stored dense';
    default:
      return undefined;
  }
}

function nodeValue(model: Model, node: Node): Tensor | string {
  for (const attribute of node.proto.attribute ?? []) {
    const value = constantValue(model, attribute);
    if (value !== undefined) return value;
  }
  return 'it has no value';
}

/** What the node says about itself goes with its value. */
function inheritAnnotations(node: Node, { proto }: Tensor): void {
  const { docString, metadataProps } = node.proto;
  if (docString && !proto.docString) proto.docString = docString;
  if (metadataProps?.length) {
    proto.metadataProps = [...(proto.metadataProps ?? []), ...metadataProps];
  }
}

export default defineSurgery({
  name: 'constant-to-initializer',
  aliases: ['LiftConstantsToInitializers'],
  summary: 'Turn Constant nodes into initializers of the same name',
  options: {},
  requires(model) {
    if (model.irVersion >= FREE_INITIALIZERS_IR) return;
    throw precondition(
      'constant-to-initializer',
      `the model has IR version ${model.irVersion}, where every initializer is also an input`,
      `raise the IR version to ${FREE_INITIALIZERS_IR} or more first`,
    );
  },
  apply(model) {
    const changes: Change[] = [];
    const declined: Decline[] = [];
    for (const graph of [...model.graphs()]) {
      const gone = new Set<Node>();
      for (const node of graph.nodes) {
        const [value] = node.outputs;
        if (!node.is('Constant') || value === undefined) continue;
        const tensor = graph.function
          ? 'it is in the body of a function, which has no initializers'
          : nodeValue(model, node);
        if (typeof tensor === 'string') {
          declined.push({ node: node.label, reason: tensor });
          continue;
        }
        inheritAnnotations(node, tensor);
        changes.push({
          node: node.label,
          what: `is an initializer now: ${dtypeLabel(tensor.dtype)} [${tensor.dims.join(', ')}]`,
        });
        node.setOutput(0, undefined);
        value.tensor = tensor;
        graph.initializers.add(value);
        gone.add(node);
      }
      if (gone.size > 0) graph.removeNodes(gone);
    }
    return { changes, declined, warnings: [] };
  },
});
