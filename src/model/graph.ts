/** A graph, a subgraph or a function body: nodes in topological order, and the values they name. Pure. */

import type { NodeTape } from '../proto/headers.ts';
import type { onnx } from '../proto/onnx.js';
import { type AttributeValue, attributeProto } from './attributes.ts';
import type { BuildContext } from './build.ts';
import { Initializers } from './initializers.ts';
import { Node } from './node.ts';
import { Declared, type DeclaredKind, Scope } from './scope.ts';
import type { Tensor } from './tensor.ts';
import { Value } from './value.ts';
import { ValueInfos } from './value-infos.ts';
import type { Wiring } from './wiring.ts';

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
  /** What the file says of the nodes; shared by all graphs of a model. */
  readonly tape: NodeTape;
  /** Who reads what; shared by all graphs of a model. */
  readonly wiring: Wiring;
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  /** Values with a constant tensor, by name, in file order. */
  readonly initializers: Initializers;
  /** Every value declared in this scope, by name. */
  readonly values: Scope;
  nodes: Node[] = [];
  /** The nodes of the file, which declarations count. */
  readonly #fileNodes: Node[] = [];
  #infos: ValueInfos | undefined;

  /** @param capacity how many values the file declares at most */
  constructor(
    kind: 'graph' | 'function',
    proto: onnx.IGraphProto | onnx.IFunctionProto,
    parent: Graph | undefined,
    { tape, wiring, resolve }: BuildContext,
    capacity: number,
  ) {
    this.kind = kind;
    this.proto = proto;
    this.parent = parent;
    this.tape = tape;
    this.wiring = wiring;
    const messages = kind === 'graph' ? ((proto as onnx.IGraphProto).initializer ?? []) : [];
    this.values = new Scope(tape.names, capacity, (name, declared, index) =>
      this.#makeValue(name, declared, index),
    );
    this.initializers = new Initializers(tape, this.values, messages, resolve);
    wiring.add(this);
  }

  #makeValue(name: string, kind: DeclaredKind, index: number): Value {
    const value = new Value(this, name);
    if (kind === Declared.INPUT) value.isGraphInput = true;
    else if (kind === Declared.INITIALIZER) value.tensor = this.initializers.tensor(index);
    else if (kind === Declared.OUTPUT) value.producer = this.#fileNodes[index];
    return value;
  }

  /** Adds a node of the file, in order. */
  addFileNode(node: Node): void {
    this.nodes.push(node);
    this.#fileNodes.push(node);
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

  /** Finds a value of the file by the number of its name, here or in an enclosing graph. */
  resolveId(id: number): Value | undefined {
    for (let scope: Graph | undefined = this; scope !== undefined; scope = scope.parent) {
      const value = scope.values.byId(id);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** Whether the file declares a name here or in an enclosing graph. */
  isDeclared(id: number): boolean {
    for (let scope: Graph | undefined = this; scope !== undefined; scope = scope.parent) {
      if (scope.values.isDeclared(id)) return true;
    }
    return false;
  }

  /** A new value of this scope. The name must be free: take it from `model.names`. */
  createValue(name: string): Value {
    const value = new Value(this, name);
    this.values.add(value);
    return value;
  }

  /** A new initializer. The name must be free: take it from `model.names`. */
  createInitializer(name: string, tensor: Tensor): Value {
    const value = this.createValue(name);
    value.tensor = tensor;
    this.initializers.add(value);
    return value;
  }

  /** Builds a node that is not in `nodes` yet; see {@link replaceNode} and {@link insertBefore}. */
  createNode(spec: NodeSpec): Node {
    this.wiring.connect();
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
    this.wiring.connect();
    this.nodes = this.nodes.filter((node) => !nodes.has(node));
    for (const node of nodes) {
      node.detachInputs();
      for (const output of node.outputs) {
        if (output?.producer !== node) continue;
        this.values.delete(output);
        byValue.delete(output);
      }
    }
  }

  /**
   * Gives values of this scope other names, all at once: a name may be one that another of them gives up, and must
   * else be free. What refers to them by name alone stays as it is; see {@link renameValues} in rename.ts.
   */
  renameValues(names: ReadonlyMap<Value, string>): void {
    // Entries find their values by name, once.
    this.#infos ??= new ValueInfos(this);
    for (const value of names.keys()) {
      value.producer?.connect();
      for (const node of value.consumers) node.connect();
    }
    this.values.rename(names);
  }

  removeInitializer(value: Value): void {
    const { byValue } = this.infos;
    this.wiring.connect();
    this.initializers.delete(value);
    if (value.isGraphInput) return;
    this.values.delete(value);
    byValue.delete(value);
  }

  /** Gives up every use this graph and its subgraphs make of values. */
  detach(): void {
    for (const node of this.nodes) node.detachInputs();
    for (const output of this.outputs) output.graphOutputCount--;
  }
}
