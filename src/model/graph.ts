/** A graph, a subgraph or a function body: nodes in topological order, and the values they name. Pure. */

import type { onnx } from '../proto/onnx.js';
import { type AttributeValue, attributeProto } from './attributes.ts';
import { Node } from './node.ts';
import type { Tensor } from './tensor.ts';
import { Value } from './value.ts';
import { ValueInfos } from './value-infos.ts';

/** What to build with {@link Graph.createNode}. Outputs given as strings become new values. */
export interface NodeSpec {
  readonly opType: string;
  readonly domain?: string;
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly (Value | string)[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

/** One scope of names. `parent` is the graph whose values this one may read; function bodies have none. */
export class Graph {
  readonly kind: 'graph' | 'function';
  readonly proto: onnx.IGraphProto | onnx.IFunctionProto;
  readonly parent: Graph | undefined;
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  /** Values with a constant tensor, by name, in file order. */
  readonly initializers = new Map<string, Value>();
  /** Every value declared in this scope, by name. */
  readonly values = new Map<string, Value>();
  nodes: Node[] = [];
  #infos: ValueInfos | undefined;

  constructor(
    kind: 'graph' | 'function',
    proto: onnx.IGraphProto | onnx.IFunctionProto,
    parent?: Graph,
  ) {
    this.kind = kind;
    this.proto = proto;
    this.parent = parent;
  }

  get name(): string {
    return this.proto.name ?? '';
  }

  /** Types and shapes as the file states them. */
  get infos(): ValueInfos {
    this.#infos ??= new ValueInfos(this);
    return this.#infos;
  }

  /** Finds a value by name here or in an enclosing graph. */
  resolve(name: string): Value | undefined {
    for (let scope: Graph | undefined = this; scope !== undefined; scope = scope.parent) {
      const value = scope.values.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** A new value of this scope. The name must be free: take it from `model.names`. */
  createValue(name: string): Value {
    const value = new Value(this, name);
    this.values.set(name, value);
    return value;
  }

  /** A new initializer. The name must be free: take it from `model.names`. */
  createInitializer(name: string, tensor: Tensor): Value {
    const value = this.createValue(name);
    value.tensor = tensor;
    this.initializers.set(name, value);
    return value;
  }

  /** Builds a node that is not in `nodes` yet; see {@link replaceNode} and {@link insertBefore}. */
  createNode(spec: NodeSpec): Node {
    const proto: onnx.INodeProto = { opType: spec.opType, name: spec.name };
    if (spec.domain) proto.domain = spec.domain;
    proto.attribute = Object.entries(spec.attributes ?? {}).map(([name, value]) =>
      attributeProto(name, value),
    );
    const node = new Node(this, proto);
    spec.inputs.forEach((value, index) => {
      node.setInput(index, value);
    });
    spec.outputs.forEach((output, index) => {
      node.setOutput(index, typeof output === 'string' ? this.createValue(output) : output);
    });
    return node;
  }

  /** Puts `nodes` where `node` stands and takes `node` out. Move its outputs to a new node before. */
  replaceNode(node: Node, ...nodes: Node[]): void {
    this.nodes.splice(this.nodes.indexOf(node), 1, ...nodes);
    node.detachInputs();
  }

  insertBefore(node: Node, ...nodes: Node[]): void {
    this.nodes.splice(this.nodes.indexOf(node), 0, ...nodes);
  }

  /** Takes nodes out; their outputs, now without a producer, leave the scope. */
  removeNodes(nodes: ReadonlySet<Node>): void {
    const { byValue } = this.infos;
    this.nodes = this.nodes.filter((node) => !nodes.has(node));
    for (const node of nodes) {
      node.detachInputs();
      for (const output of node.outputs) {
        if (output?.producer !== node) continue;
        this.values.delete(output.name);
        byValue.delete(output);
      }
    }
  }

  removeInitializer(value: Value): void {
    const { byValue } = this.infos;
    this.initializers.delete(value.name);
    value.tensor = undefined;
    if (value.isGraphInput) return;
    this.values.delete(value.name);
    byValue.delete(value);
  }

  /** Gives up every use this graph and its subgraphs make of values. */
  detach(): void {
    for (const node of this.nodes) node.detachInputs();
    for (const output of this.outputs) output.graphOutputCount--;
  }
}
