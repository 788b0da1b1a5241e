/** A named edge of the graph: an input, an initializer, or one output of a node. Pure. */

import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';

/** A value and who reads it. Consumers in inner scopes (If, Loop, Scan bodies) are counted like any other. */
export class Value {
  readonly graph: Graph;
  #name: string;
  /** The node this is an output of; undefined for graph inputs and initializers. */
  producer: Node | undefined;
  /** The constant value, for initializers. */
  tensor: Tensor | undefined;
  isGraphInput = false;
  /** How many times the value is listed as an output of its own or an inner graph. */
  graphOutputCount = 0;
  /** Reading nodes with the number of inputs each reads it on; the node itself for the usual case, one use. */
  #uses: Node | Map<Node, number> | undefined;

  constructor(graph: Graph, name: string) {
    this.graph = graph;
    this.#name = name;
  }

  get name(): string {
    return this.#name;
  }

  /** Changes the name. For {@link Scope.rename} alone, which knows values by their names. */
  rename(name: string): void {
    this.#name = name;
  }

  /** Type and shape as the file states them: an entry of `input`, `output` or `value_info`. */
  get info(): onnx.IValueInfoProto | undefined {
    return this.graph.infos.byValue.get(this);
  }

  set info(info: onnx.IValueInfoProto) {
    this.graph.infos.byValue.set(this, info);
  }

  get isGraphOutput(): boolean {
    return this.graphOutputCount > 0;
  }

  /** The nodes that read this value, each once. */
  get consumers(): readonly Node[] {
    this.graph.wiring.connect();
    if (this.#uses === undefined) return [];
    return this.#uses instanceof Map ? [...this.#uses.keys()] : [this.#uses];
  }

  /** Number of node inputs that read this value. */
  get useCount(): number {
    this.graph.wiring.connect();
    if (!(this.#uses instanceof Map)) return this.#uses === undefined ? 0 : 1;
    let count = 0;
    for (const times of this.#uses.values()) count += times;
    return count;
  }

  /** Counts an input of `node` that reads this value. For {@link Node.setInput} alone. */
  addUse(node: Node): void {
    if (this.#uses === undefined) {
      this.#uses = node;
      return;
    }
    if (!(this.#uses instanceof Map)) this.#uses = new Map([[this.#uses, 1]]);
    this.#uses.set(node, (this.#uses.get(node) ?? 0) + 1);
  }

  /** Undoes one {@link addUse}. */
  removeUse(node: Node): void {
    if (!(this.#uses instanceof Map)) {
      if (this.#uses === node) this.#uses = undefined;
      return;
    }
    const times = this.#uses.get(node) ?? 0;
    if (times > 1) this.#uses.set(node, times - 1);
    else this.#uses.delete(node);
  }

  /** True when a caller of the model cannot replace the value: an initializer that is not also a graph input. */
  get isConstant(): boolean {
    return this.tensor !== undefined && !this.isGraphInput;
  }

  /** Makes every reader of this value read `replacement`. Graph outputs keep this value. */
  replaceUsesWith(replacement: Value): void {
    for (const node of this.consumers) {
      node.inputs.forEach((input, index) => {
        if (input === this) node.setInput(index, replacement);
      });
    }
  }
}
