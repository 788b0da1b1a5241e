/** One operator call of a graph. Pure. */

import { nodeHeader } from '../proto/deferred.ts';
import type { onnx } from '../proto/onnx.js';
import type { Graph } from './graph.ts';
import type { Value } from './value.ts';

/**
 * A node. `proto` carries attributes, name, metadata and unknown fields; inputs and outputs live here as values, so
 * that renaming a value needs no search. An omitted optional input or output is `undefined`.
 */
export class Node {
  readonly graph: Graph;
  readonly proto: onnx.INodeProto;
  readonly #inputs: (Value | undefined)[] = [];
  readonly #outputs: (Value | undefined)[] = [];
  /** Graphs in this node's attributes, in attribute order. */
  readonly subgraphs: Graph[] = [];

  constructor(graph: Graph, proto: onnx.INodeProto) {
    this.graph = graph;
    this.proto = proto;
  }

  get name(): string {
    return nodeHeader(this.proto).name ?? '';
  }

  get opType(): string {
    return nodeHeader(this.proto).opType ?? '';
  }

  /** Operator domain; the empty string and `ai.onnx` are the same and read as ''. */
  get domain(): string {
    const domain = nodeHeader(this.proto).domain ?? '';
    return domain === 'ai.onnx' ? '' : domain;
  }

  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs;
  }

  get outputs(): readonly (Value | undefined)[] {
    return this.#outputs;
  }

  /** True for operator `opType` of `domain` (default: the ONNX domain). */
  is(opType: string, domain = ''): boolean {
    return this.opType === opType && this.domain === domain;
  }

  /** Name for messages: the node's own, or its type and first output when it has none. */
  get label(): string {
    return this.name !== '' ? this.name : `${this.opType} → ${this.#outputs[0]?.name ?? '?'}`;
  }

  /** Sets input `index`; shorter input lists are filled with omitted inputs. */
  setInput(index: number, value: Value | undefined): void {
    while (this.#inputs.length <= index) this.#inputs.push(undefined);
    const previous = this.#inputs[index];
    if (previous === value) return;
    previous?.removeUse(this);
    this.#inputs[index] = value;
    value?.addUse(this);
  }

  /** Makes `value` output `index` of this node. */
  setOutput(index: number, value: Value | undefined): void {
    while (this.#outputs.length <= index) this.#outputs.push(undefined);
    const previous = this.#outputs[index];
    if (previous !== undefined && previous.producer === this) previous.producer = undefined;
    this.#outputs[index] = value;
    if (value !== undefined) value.producer = this;
  }

  /** Gives up all inputs, so that nothing counts this node as a reader. */
  detachInputs(): void {
    for (let index = 0; index < this.#inputs.length; index++) this.setInput(index, undefined);
    for (const graph of this.subgraphs) graph.detach();
  }
}
