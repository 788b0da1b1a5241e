/** A graph, a subgraph or a function body: nodes in topological order, and the values they name. Pure. */

import { initializersOf, interfaceOf } from '../proto/deferred.ts';
import type { NodeTape } from '../proto/headers.ts';
import type { Messages } from '../proto/message-list.ts';
import { NO_NAME } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.ts';
import { type AttributeValue, attributeProto } from './attributes.ts';
import type { BuildContext } from './build.ts';
import { Initializers } from './initializers.ts';
import { Node, plainDomain } from './node.ts';
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
  /** Where the tape has the records of the nodes of the file. */
  readonly records: Int32Array;
  /** Messages of the nodes of the file, which declarations count. */
  readonly #messages: Messages<onnx.INodeProto>;
  /** Those nodes of the file that something asked for. */
  readonly #fileNodes: (Node | undefined)[] = [];
  /** Undefined while the nodes are those of the file and nothing asked for all of them. */
  #nodes: Node[] | undefined;
  #infos: ValueInfos | undefined;

  /**
   * @param messages nodes of the file
   * @param records where their records are on the tape
   */
  constructor(
    kind: 'graph' | 'function',
    proto: onnx.IGraphProto | onnx.IFunctionProto,
    parent: Graph | undefined,
    { tape, wiring, resolve }: BuildContext,
    messages: Messages<onnx.INodeProto>,
    records: Int32Array,
  ) {
    this.kind = kind;
    this.proto = proto;
    this.parent = parent;
    this.tape = tape;
    this.wiring = wiring;
    this.#messages = messages;
    this.records = records;
    const constants = initializersOf(kind === 'graph' ? (proto as onnx.IGraphProto) : {});
    this.values = new Scope(
      tape.names,
      this.#declarationCount(constants.length),
      (name, declared, index) => this.#makeValue(name, declared, index),
    );
    this.initializers = new Initializers(tape, this.values, constants, resolve);
    wiring.add(this);
  }

  /** How many values the file declares, if none twice. */
  #declarationCount(constants: number): number {
    const { proto, tape, records } = this;
    const inputs =
      this.kind === 'graph'
        ? interfaceOf(proto as onnx.IGraphProto, 'input').length
        : (proto.input?.length ?? 0);
    const sparse = 'sparseInitializer' in proto ? (proto.sparseInitializer?.length ?? 0) : 0;
    return inputs + constants + sparse + tape.outputTotal(records);
  }

  #makeValue(name: string, kind: DeclaredKind, index: number): Value {
    const value = new Value(this, name);
    if (kind === Declared.INPUT) value.isGraphInput = true;
    else if (kind === Declared.INITIALIZER) value.tensor = this.initializers.tensor(index);
    else if (kind === Declared.OUTPUT) value.producer = this.fileNode(index);
    return value;
  }

  /** Node `index` of the file, whether or not it is still in the graph. */
  fileNode(index: number): Node {
    const known = this.#fileNodes[index];
    if (known !== undefined) return known;
    if (this.#fileNodes.length === 0) this.#fileNodes.length = this.records.length;
    const node = new Node(this, this.#messages.at(index), this.records[index]);
    this.#fileNodes[index] = node;
    return node;
  }

  /** The nodes, in topological order. */
  get nodes(): Node[] {
    this.#nodes ??= Array.from(this.records, (_, index) => this.fileNode(index));
    return this.#nodes;
  }

  set nodes(nodes: Node[]) {
    this.#nodes = nodes;
  }

  /**
   * The nodes of the file that something asked for one by one, while those of the file are the nodes: no other can have
   * changed. Undefined once {@link nodes} was asked for.
   */
  get changeable(): readonly Node[] | undefined {
    if (this.#nodes !== undefined) return undefined;
    return this.#fileNodes.filter((node) => node !== undefined);
  }

  /** Those of {@link nodes} that may have graphs in them, without making the others. */
  get holders(): readonly Node[] {
    if (this.#nodes !== undefined) return this.#nodes;
    return Array.from(this.#messages.decoded(), (index) => this.fileNode(index));
  }

  /** Those of {@link nodes} that are of one of these operators, whatever their domain, without making the others. */
  nodesOf(...opTypes: readonly string[]): Node[] {
    if (this.#nodes !== undefined)
      return this.#nodes.filter((node) => opTypes.includes(node.opType));
    const { tape, records } = this;
    const wanted = new Uint8Array(tape.names.size);
    for (const opType of opTypes) wanted[tape.names.find(opType) ?? NO_NAME] = 1;
    wanted[NO_NAME] = 0;
    const found: Node[] = [];
    for (let index = 0; index < records.length; index++) {
      const made = this.#fileNodes[index];
      const isOne = made
        ? opTypes.includes(made.opType)
        : wanted[tape.opTypeId(records[index] as number)] === 1;
      if (isOne) found.push(this.fileNode(index));
    }
    return found;
  }

  /** How many nodes there are. */
  get nodeCount(): number {
    return this.#nodes?.length ?? this.records.length;
  }

  /** Adds nodes to `counts` by their operator, `domain::operator` outside of ONNX's own; makes none. */
  countOperators(counts: Map<string, number>): void {
    const add = (domain: string, opType: string, count: number) => {
      const name = domain === '' ? opType : `${domain}::${opType}`;
      counts.set(name, (counts.get(name) ?? 0) + count);
    };
    if (this.#nodes !== undefined) {
      for (const { domain, opType } of this.#nodes) add(domain, opType, 1);
      return;
    }
    const { tape, records } = this;
    const asRead = new Map<number, { readonly record: number; count: number }>();
    for (let index = 0; index < records.length; index++) {
      const record = records[index] as number;
      const made = this.#fileNodes[index];
      if (made !== undefined) {
        add(made.domain, made.opType, 1);
        continue;
      }
      const key = tape.domainId(record) * 2 ** 26 + tape.opTypeId(record);
      const known = asRead.get(key);
      if (known !== undefined) known.count++;
      else {
        asRead.set(key, { record, count: 1 });
        // Its place among the counts is that of its first node.
        add(plainDomain(tape.domain(record)), tape.opType(record), 0);
      }
    }
    for (const { record, count } of asRead.values()) {
      add(plainDomain(tape.domain(record)), tape.opType(record), count);
    }
  }

  get name(): string {
    return this.proto.name ?? '';
  }

  /** The function that this is the body of, or a graph in the body of. */
  get function(): onnx.IFunctionProto | undefined {
    if (this.kind === 'function') return this.proto as onnx.IFunctionProto;
    return this.parent?.function;
  }

  /** Types and shapes as the file states them. */
  get infos(): ValueInfos {
    this.#infos ??= new ValueInfos(this);
    return this.#infos;
  }

  /** Whether something asked for {@link infos}, as every edit does that removes or renames values. */
  get hasInfos(): boolean {
    return this.#infos !== undefined;
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
