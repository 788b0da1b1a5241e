/**
 * Rewrite Gemm as MatMul and Add, in all graphs and functions.
 *
 * No weight is moved: a transposed operand is read through a Transpose node, one for all that read it, and where the
 * operand came out of a Transpose, that one goes. Declined: alpha other than 1, beta other than 1 where there is a
 * bias, and what says that it is no matrix.
 */

import { constantTensor } from '../anatomy/weight.ts';
import { floatAttribute, intAttribute, intsAttribute } from '../model/attributes.ts';
import { removeUnread } from '../model/liveness.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { onnxOpset } from '../model/opset.ts';
import type { Value } from '../model/value.ts';
import { inheritAnnotations } from './blockwise.ts';
import { type Change, type Decline, defineSurgery } from './surgery.ts';

/** Until this operator set Gemm and Add broadcast by an attribute. */
const NUMPY_BROADCASTING_OPSET = 7;

function rankOf(model: Model, value: Value | undefined): number | undefined {
  const shape = value?.info?.type?.tensorType?.shape;
  return (
    constantTensor(model, value)?.dims.length ?? (shape ? (shape.dim ?? []).length : undefined)
  );
}

function obstacle(model: Model, node: Node): string | undefined {
  const [a, b, bias] = node.inputs;
  if (a === undefined || b === undefined || node.outputs[0] === undefined) {
    return 'it lacks an operand or a result';
  }
  const reference = node.proto.attribute?.find(({ refAttrName }) => refAttrName);
  if (reference) return `its ${reference.name} is up to who calls the function`;
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  if (alpha !== 1) return `its alpha is ${alpha}`;
  if (bias !== undefined && beta !== 1) return `its beta is ${beta}`;
  if (onnxOpset(model, node.graph) < NUMPY_BROADCASTING_OPSET) {
    return `before operator set ${NUMPY_BROADCASTING_OPSET} it broadcasts its bias in another way`;
  }
  for (const operand of [a, b]) {
    const rank = rankOf(model, operand) ?? 2;
    if (rank !== 2) return `"${operand.name}" has ${rank} dimensions, not 2`;
  }
  const rank = rankOf(model, bias) ?? 0;
  return rank > 2 ? `its bias has ${rank} dimensions, more than 2` : undefined;
}

/** What a Transpose of a matrix reads; undefined for other nodes. Without `perm` it turns the axes around too. */
function transposedInput(node: Node | undefined): Value | undefined {
  if (!node?.is('Transpose')) return undefined;
  const perm = intsAttribute(node, 'perm');
  return perm === undefined || perm.join() === '1,0' ? node.inputs[0] : undefined;
}

/** Rewrites the nodes of one graph, which it is shown in order. */
class Rewrite {
  readonly #model: Model;
  /** Results of the Transpose nodes passed so far, by what they read. */
  readonly #transposes = new Map<Value, Value>();
  readonly #read = new Set<Value | undefined>();

  constructor(model: Model) {
    this.#model = model;
  }

  /** Notes a node that stays. */
  pass(node: Node): void {
    const input = transposedInput(node);
    const output = node.outputs[0];
    if (input && output && !this.#transposes.has(input)) this.#transposes.set(input, output);
  }

  /** Returns what took the place of the Gemm. */
  replace(node: Node): string {
    const { names } = this.#model;
    const [a, b, bias] = node.inputs;
    const [output] = node.outputs;
    if (output === undefined) throw new Error(`node "${node.label}" has no output`);
    const operands = [
      intAttribute(node, 'transA', 0) === 0 ? a : this.#transposed(node, a),
      intAttribute(node, 'transB', 0) === 0 ? b : this.#transposed(node, b),
    ];
    const product = node.graph.createNode({
      opType: 'MatMul',
      name: node.name,
      inputs: operands,
      outputs: [bias === undefined ? output : names.claim(`${output.name}_product`)],
    });
    inheritAnnotations(node, product);
    const nodes = [product];
    if (bias !== undefined) {
      nodes.push(
        node.graph.createNode({
          opType: 'Add',
          name: node.name === '' ? '' : names.claim(`${node.name}_bias`),
          inputs: [product.outputs[0], bias],
          outputs: [output],
        }),
      );
    }
    node.graph.replaceNode(node, ...nodes);
    this.#read.add(a).add(b);
    return nodes.map(({ opType }) => opType).join(' and ');
  }

  /** Takes out each Transpose that nothing reads any more. */
  finish(): void {
    removeUnread(this.#model, this.#read);
  }

  #transposed(node: Node, value: Value | undefined): Value | undefined {
    if (value === undefined) return undefined;
    const source = transposedInput(value.producer);
    if (source !== undefined && node.graph.resolve(source.name) === source) return source;
    const known = this.#transposes.get(value);
    if (known !== undefined) return known;
    const { names } = this.#model;
    const transpose = node.graph.createNode({
      opType: 'Transpose',
      name: names.claim(`${value.name}_transpose`),
      inputs: [value],
      outputs: [names.claim(`${value.name}_transposed`)],
      attributes: { perm: { ints: [1, 0] } },
    });
    node.graph.insertBefore(node, transpose);
    this.pass(transpose);
    return transpose.outputs[0];
  }
}

export default defineSurgery({
  name: 'gemm-to-matmul-add',
  aliases: ['GemmToMatMulAdd'],
  summary: 'Rewrite Gemm as MatMul and Add',
  options: {},
  apply(model) {
    const changes: Change[] = [];
    const declined: Decline[] = [];
    for (const graph of [...model.graphs()]) {
      const rewrite = new Rewrite(model);
      for (const node of [...graph.nodes]) {
        if (!node.is('Gemm')) {
          rewrite.pass(node);
          continue;
        }
        const { label } = node;
        const reason = obstacle(model, node);
        if (reason !== undefined) declined.push({ node: label, reason });
        else changes.push({ node: label, what: rewrite.replace(node) });
      }
      rewrite.finish();
    }
    return { changes, declined, warnings: [] };
  },
});
