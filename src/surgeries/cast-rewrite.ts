/** Putting a weight of another type in the place of one, and Casts where its readers want the old. Pure. */

import { dtypeLabel } from '../dtypes.ts';
import { type CastParameters, castOutputs, type FloatTypeCode } from '../kernels/kernel.ts';
import { intAttribute } from '../model/attributes.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import { Tensor } from '../model/tensor.ts';
import type { FileRange } from '../model/tensor-data.ts';
import type { Value } from '../model/value.ts';

/** A weight that can be stored in the wanted type. */
export interface CastCandidate {
  readonly value: Value;
  readonly tensor: Tensor;
  readonly from: FloatTypeCode;
  readonly range: FileRange;
  readonly readers: Readers;
}

/** Who reads a weight, by what becomes of them. */
export interface Readers {
  /** Casts to the wanted type, which go. */
  readonly toTarget: readonly Node[];
  /** Other Casts, which read it as it is. */
  readonly otherCasts: readonly Node[];
  /** Lookups whose result is cast to the wanted type and nothing else: that Cast goes. */
  readonly castLookups: readonly Node[];
  /** Other lookups: their result is cast. */
  readonly lookups: readonly Node[];
  /** All others read it through a Cast. */
  readonly others: readonly Node[];
}

/** The Cast to a type that is all that reads the result of a lookup. */
function onlyCast(lookup: Node, to: FloatTypeCode): Node | undefined {
  const [result] = lookup.outputs;
  const [cast, other] = result?.consumers ?? [];
  const isOnly = cast !== undefined && other === undefined && result?.isGraphOutput === false;
  if (!isOnly || !cast.is('Cast') || cast.graph !== lookup.graph) return undefined;
  return intAttribute(cast, 'to', 0) === to ? cast : undefined;
}

/** Sorts the readers of a weight that is to be stored as `to`. */
export function readersOf(value: Value, to: FloatTypeCode): Readers {
  const readers = {
    toTarget: [] as Node[],
    otherCasts: [] as Node[],
    castLookups: [] as Node[],
    lookups: [] as Node[],
    others: [] as Node[],
  };
  for (const node of value.consumers) {
    const isLookup = node.is('Gather') && node.inputs[0] === value && node.outputs[0] !== undefined;
    if (isLookup) {
      (onlyCast(node, to) === undefined ? readers.lookups : readers.castLookups).push(node);
    } else if (!node.is('Cast')) readers.others.push(node);
    else if (intAttribute(node, 'to', 0) !== to || node.outputs[0]?.isGraphOutput !== false) {
      readers.otherCasts.push(node);
    } else readers.toTarget.push(node);
  }
  return readers;
}

/** Puts a tensor of the type in the place of a weight, and Casts where its readers want the old one. */
export class CastRewrite {
  readonly #model: Model;
  readonly #to: FloatTypeCode;
  /** Casts of weights, to come before everything else in their graph. */
  readonly #casts: Node[] = [];

  constructor(model: Model, to: FloatTypeCode) {
    this.#model = model;
    this.#to = to;
  }

  /** Stores a weight in the type; what its readers compute with stays what it is. */
  store({ value, tensor, from, range, readers }: CastCandidate, saturate: boolean): void {
    const parameters: CastParameters = {
      from,
      to: this.#to,
      saturate,
      count: tensor.elementCount,
    };
    const derivation = this.#model.derive({
      kernel: 'cast',
      parameters,
      sources: [range],
      outputs: castOutputs(parameters),
    });
    const { proto, dims } = tensor;
    value.tensor = new Tensor(proto, this.#to, dims, { kind: 'derived', derivation, output: 0 });
    const stated = value.info?.type?.tensorType;
    if (stated) stated.elemType = this.#to;
    for (const cast of readers.toTarget) {
      cast.outputs[0]?.replaceUsesWith(value);
      cast.graph.removeNodes(new Set([cast]));
    }
    for (const lookup of readers.castLookups) this.#uncastResult(lookup);
    for (const lookup of readers.lookups) this.#castResult(lookup, from);
    if (readers.others.length > 0) this.#castFor(value, readers.others, from);
  }

  /** Adds the Casts of weights to the graphs. */
  finish(): void {
    for (const graph of new Set(this.#casts.map((cast) => cast.graph))) {
      graph.nodes.unshift(...this.#casts.filter((cast) => cast.graph === graph));
    }
  }

  #castFor(value: Value, readers: readonly Node[], type: FloatTypeCode): void {
    const { names } = this.#model;
    const cast = value.graph.createNode({
      opType: 'Cast',
      name: names.claim(`${value.name}_cast`),
      inputs: [value],
      outputs: [names.claim(`${value.name}_${dtypeLabel(type)}`)],
      attributes: { to: { int: type } },
    });
    for (const node of readers) {
      node.inputs.forEach((input, index) => {
        if (input === value) node.setInput(index, cast.outputs[0]);
      });
    }
    this.#casts.push(cast);
  }

  /** Gives a lookup the result of the Cast behind it, which goes. */
  #uncastResult(lookup: Node): void {
    const cast = onlyCast(lookup, this.#to);
    const [result] = lookup.outputs;
    if (cast === undefined) throw new Error(`the result of "${lookup.label}" is not cast`);
    lookup.setOutput(0, cast.outputs[0]);
    cast.setOutput(0, result);
    lookup.graph.removeNodes(new Set([cast]));
  }

  #castResult(node: Node, type: FloatTypeCode): void {
    const { names } = this.#model;
    const { graph } = node;
    const [result] = node.outputs;
    if (result === undefined) throw new Error(`node "${node.label}" has no output`);
    const narrow = graph.createValue(names.claim(`${result.name}_${dtypeLabel(this.#to)}`));
    node.setOutput(0, narrow);
    const cast = graph.createNode({
      opType: 'Cast',
      name: node.name === '' ? '' : names.claim(`${node.name}_cast`),
      inputs: [narrow],
      outputs: [result],
      attributes: { to: { int: type } },
    });
    graph.nodes.splice(graph.nodes.indexOf(node) + 1, 0, cast);
  }
}
