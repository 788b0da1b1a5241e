/** The constant values of one graph, in file order. Pure. */

import { tensorNameId } from '../proto/deferred.ts';
import { DECODED, type NodeTape } from '../proto/headers.ts';
import type { Messages } from '../proto/message-list.ts';
import type { NameTable } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.ts';
import { TensorHeaders } from '../proto/tensor-headers.ts';
import type { Scope } from './scope.ts';
import type { Tensor } from './tensor.ts';
import { type ResolveTensor, tensorFromHeader, tensorFromProto } from './tensor-places.ts';
import type { Value } from './value.ts';

/** Descriptions of so many tensors are kept from the first look on. Of more they are made again at each. */
const KEPT_TENSORS = 65_536;

/** A tensor and the name to use in messages. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

/** Tensors by number: described when asked for, since there may be a million. */
export interface NumberedTensors {
  readonly length: number;
  at(number: number): NamedTensor | undefined;
}

/** A tensor whose name is made when something asks for it. */
class Unseen implements NamedTensor {
  readonly tensor: Tensor;
  readonly #names: NameTable;
  readonly #id: number;

  constructor(names: NameTable, id: number, tensor: Tensor) {
    this.tensor = tensor;
    this.#names = names;
    this.#id = id;
  }

  get name(): string {
    return this.#names.peek(this.#id);
  }
}

/** Initializers of the file, described when something asks for them, and those an edit adds. */
export class Initializers {
  readonly #names: NameTable;
  readonly #ids: Int32Array;
  readonly #scope: Scope;
  readonly #messages: Messages<onnx.ITensorProto>;
  readonly #headers: TensorHeaders;
  readonly #resolve: ResolveTensor;
  readonly #kept: (Tensor | undefined)[] | undefined;
  readonly #added = new Set<Value>();
  /** Whether the graph has had another list than that of the file. */
  #isReplaced = false;

  constructor(
    tape: NodeTape,
    scope: Scope,
    messages: Messages<onnx.ITensorProto>,
    resolve: ResolveTensor,
  ) {
    this.#names = tape.names;
    this.#ids = messages.marks();
    for (let index = 0; index < this.#ids.length; index++) {
      if (this.#ids[index] === DECODED) this.#ids[index] = tensorNameId(messages.at(index), tape);
    }
    this.#scope = scope;
    this.#messages = messages;
    this.#headers = new TensorHeaders(messages, tape);
    this.#resolve = resolve;
    this.#kept = messages.length > KEPT_TENSORS ? undefined : new Array(messages.length);
  }

  /** How many the file has. */
  get length(): number {
    return this.#messages.length;
  }

  /** Number of the name of initializer `index` of the file. */
  id(index: number): number {
    return this.#ids[index] as number;
  }

  /** Describes initializer `index` of the file. Throws the FormatError of one that cannot be right. */
  tensor(index: number): Tensor {
    const kept = this.#kept?.[index];
    if (kept !== undefined) return kept;
    const tensor = this.#describe(index);
    if (this.#kept !== undefined) this.#kept[index] = tensor;
    return tensor;
  }

  #describe(index: number): Tensor {
    try {
      return this.#describeAs('', index);
    } catch {
      // Its name is wanted for the message alone; making a string of every name takes longer than the rest.
      return this.#describeAs(this.#names.peek(this.id(index)), index);
    }
  }

  #describeAs(name: string, index: number): Tensor {
    const header = this.#headers.at(index);
    return header === undefined
      ? tensorFromProto(this.#messages.at(index), name, this.#resolve)
      : tensorFromHeader(this.#messages, index, name, header, this.#resolve);
  }

  get(name: string): Value | undefined {
    const value = this.#scope.get(name);
    return value?.tensor === undefined ? undefined : value;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  add(value: Value): void {
    this.#added.add(value);
  }

  delete(value: Value): void {
    this.#added.delete(value);
    value.tensor = undefined;
  }

  *values(): Generator<Value> {
    for (let index = 0; index < this.#messages.length; index++) {
      const value = this.#scope.byId(this.id(index));
      if (value?.tensor !== undefined) yield value;
    }
    yield* this.#added;
  }

  *keys(): Generator<string> {
    for (const value of this.values()) yield value.name;
  }

  *[Symbol.iterator](): Generator<[string, Value]> {
    for (const value of this.values()) yield [value.name, value];
  }

  /** Initializer `index` of the file, without making a value of it; undefined for one that is gone. */
  #named(index: number): NamedTensor | undefined {
    const id = this.id(index);
    const value = this.#scope.madeById(id);
    if (value === undefined) return new Unseen(this.#names, id, this.tensor(index));
    return value?.tensor && { name: value.name, tensor: value.tensor };
  }

  #isGone(index: number): boolean {
    const value = this.#scope.madeById(this.id(index));
    return value !== undefined && value?.tensor === undefined;
  }

  #indexesThere(count: number): Int32Array {
    const indexes = new Int32Array(count);
    for (let index = 0, at = 0; at < count; index++)
      if (!this.#isGone(index)) indexes[at++] = index;
    return indexes;
  }

  *#addedTensors(): Generator<NamedTensor> {
    for (const { name, tensor } of this.#added) if (tensor !== undefined) yield { name, tensor };
  }

  /** The tensors, without making values of them. */
  *tensors(): Generator<NamedTensor> {
    for (let index = 0; index < this.#messages.length; index++) {
      const named = this.#named(index);
      if (named !== undefined) yield named;
    }
    yield* this.#addedTensors();
  }

  /** The tensors by number, in the same order, as they are now. Memory: 4 bytes each once one of the file is gone. */
  list(): NumberedTensors {
    let inFile = 0;
    for (let index = 0; index < this.length; index++) if (!this.#isGone(index)) inFile++;
    const indexes = inFile === this.length ? undefined : this.#indexesThere(inFile);
    const added = [...this.#addedTensors()];
    return {
      length: inFile + added.length,
      at: (number) =>
        number < inFile ? this.#named(indexes?.[number] ?? number) : added[number - inFile],
    };
  }

  /**
   * The messages to write; undefined while they are those of the file.
   * @param sync brings the message of a tensor up to date and returns it
   */
  messages(
    sync: (value: Value, tensor: Tensor) => onnx.ITensorProto,
  ): onnx.ITensorProto[] | undefined {
    const messages = this.#messages;
    // Of a million none is made when all are as they were.
    let isReplaced = this.#isReplaced || this.#added.size > 0;
    for (let index = 0; index < messages.length; index++) {
      const value = this.#scope.madeById(this.id(index));
      if (value === undefined) continue;
      isReplaced =
        !(value?.tensor && sync(value, value.tensor) === messages.at(index)) || isReplaced;
    }
    if (!isReplaced) return undefined;
    this.#isReplaced = true;
    const current = (message: onnx.ITensorProto, index: number) => {
      const value = this.#scope.madeById(this.id(index));
      if (value === undefined) return message;
      return value?.tensor && sync(value, value.tensor);
    };
    const added = [...this.#added].map((value) => value.tensor && sync(value, value.tensor));
    return [...messages.all().map(current), ...added].filter((message) => message !== undefined);
  }
}
