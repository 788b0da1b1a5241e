/** A named edge of the graph: an input, an initializer, or one output of a node. Pure. */

import type { onnx } from '../proto/onnx.js';
import type { Graph } from './graph.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';

/** A value and who reads it. Consumers in inner scopes (If, Loop, Scan bodies) are counted like any other. */
export class Value {
  readonly graph: Graph;
  name: string;
  /** The node this is an output of; undefined for graph inputs and initializers. */
  producer: Node | undefined;
  /** The constant value, for initializers. */
  tensor: Tensor | undefined;
  /** Type and shape as the file states them: an entry of `input`, `output` or `value_info`. */
  info: onnx.IValueInfoProto | undefined;
  isGraphInput = false;
  /** How many times the value is listed as an output of its own or an inner graph. */
  graphOutputCount = 0;
  /** Reading nodes, with the number of inputs each reads it on. */
  readonly consumers = new Map<Node, number>();

  constructor(graph: Graph, name: string) {
    this.graph = graph;
    this.name = name;
  }

  get isGraphOutput(): boolean {
    return this.graphOutputCount > 0;
  }

  /** Number of node inputs that read this value. */
  get useCount(): number {
    let count = 0;
    for (const times of this.consumers.values()) count += times;
    return count;
  }

  /** True when a caller of the model cannot replace the value: an initializer that is not also a graph input. */
  get isConstant(): boolean {
    return this.tensor !== undefined && !this.isGraphInput;
  }

  /** Makes every reader of this value read `replacement`. Graph outputs keep this value. */
  replaceUsesWith(replacement: Value): void {
    for (const node of [...this.consumers.keys()]) {
      node.inputs.forEach((input, index) => {
        if (input === this) node.setInput(index, replacement);
      });
    }
  }
}
