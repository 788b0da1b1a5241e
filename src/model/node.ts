/** One operator call of a graph. Pure. */

import { isPlainNode } from '../proto/deferred.ts';
import { NO_NAME } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import type { Value } from './value.ts';

/** The one spelling of an operator domain: the empty string and `ai.onnx` are the same. */
export function plainDomain(domain: string | null | undefined): string {
  return domain === 'ai.onnx' ? '' : (domain ?? '');
}

/** No record on the tape: the node is not one of the file's. */
const MADE = -1;

/**
 * A node. `proto` carries attributes, name, metadata and unknown fields; inputs and outputs live here as values, so
 * that renaming a value needs no search. An omitted optional input or output is `undefined`.
 */
export class Node {
  readonly graph: Graph;
  readonly proto: onnx.INodeProto;
  /** Graphs in this node's attributes, in attribute order. */
  readonly subgraphs: Graph[] = [];
  /** Where the tape of the model says what the file says of this node. */
  readonly #record: number;
  /** Undefined until something asks: what the tape says holds. */
  #inputs: (Value | undefined)[] | undefined;
  #outputs: (Value | undefined)[] | undefined;

  /** @param record place of a node of a file on its graph's tape; left out for a new one */
  constructor(graph: Graph, proto: onnx.INodeProto, record = MADE) {
    this.graph = graph;
    this.proto = proto;
    this.#record = record;
    if (record === MADE) {
      this.#inputs = [];
      this.#outputs = [];
    }
  }

  get name(): string {
    return this.#isAsRead ? this.graph.tape.name(this.#record) : (this.proto.name ?? '');
  }

  get opType(): string {
    return this.#isAsRead ? this.graph.tape.opType(this.#record) : (this.proto.opType ?? '');
  }

  /** Operator domain, spelled as {@link plainDomain} does. */
  get domain(): string {
    return plainDomain(this.#isAsRead ? this.graph.tape.domain(this.#record) : this.proto.domain);
  }

  /** True while the message was not decoded, so that the tape says what it says. */
  get #isAsRead(): boolean {
    return this.#record !== MADE && isPlainNode(this.proto);
  }

  get inputs(): readonly (Value | undefined)[] {
    this.#inputs ??= this.#read('input');
    return this.#inputs;
  }

  get outputs(): readonly (Value | undefined)[] {
    this.#outputs ??= this.#read('output');
    return this.#outputs;
  }

  /** Goes by values from now on, not by the names in the file, so that they may change. */
  connect(): void {
    this.#inputs ??= this.#read('input');
    this.#outputs ??= this.#read('output');
  }

  /** True when the message is untouched and says what this node is: there is nothing to write into it. */
  get isUnchanged(): boolean {
    return (
      this.#isAsRead && this.#reads('input', this.#inputs) && this.#reads('output', this.#outputs)
    );
  }

  /** Whether `values` are those that the tape names; undefined ones nobody looked at. */
  #reads(side: 'input' | 'output', values: readonly (Value | undefined)[] | undefined): boolean {
    if (values === undefined) return true;
    const { tape } = this.graph;
    if (values.length !== tape[`${side}Count`](this.#record)) return false;
    return values.every((value, index) => {
      return (value?.name ?? '') === tape.names.text(tape[side](this.#record, index));
    });
  }

  #read(side: 'input' | 'output'): (Value | undefined)[] {
    const { tape } = this.graph;
    const count = tape[`${side}Count`](this.#record);
    const values: (Value | undefined)[] = [];
    for (let index = 0; index < count; index++) {
      const id = tape[side](this.#record, index);
      values.push(id === NO_NAME ? undefined : this.graph.resolveId(id));
    }
    return values;
  }

  /** True for operator `opType` of `domain` (default: the ONNX domain). */
  is(opType: string, domain = ''): boolean {
    return this.opType === opType && this.domain === domain;
  }

  /** Name for messages: the node's own, or its type and first output when it has none. */
  get label(): string {
    const { name } = this;
    return name !== '' ? name : `${this.opType} → ${this.outputs[0]?.name ?? '?'}`;
  }

  /** Sets input `index`; shorter input lists are filled with omitted inputs. */
  setInput(index: number, value: Value | undefined): void {
    this.graph.wiring.connect();
    this.#inputs ??= this.#read('input');
    while (this.#inputs.length <= index) this.#inputs.push(undefined);
    const previous = this.#inputs[index];
    if (previous === value) return;
    previous?.removeUse(this);
    this.#inputs[index] = value;
    value?.addUse(this);
  }

  /** Makes `value` output `index` of this node. */
  setOutput(index: number, value: Value | undefined): void {
    this.#outputs ??= this.#read('output');
    while (this.#outputs.length <= index) this.#outputs.push(undefined);
    const previous = this.#outputs[index];
    if (previous !== undefined && previous.producer === this) previous.producer = undefined;
    this.#outputs[index] = value;
    if (value !== undefined) value.producer = this;
  }

  /** Gives up all inputs, so that nothing counts this node as a reader. */
  detachInputs(): void {
    for (let index = 0; index < this.inputs.length; index++) this.setInput(index, undefined);
    for (const graph of this.subgraphs) graph.detach();
  }
}
