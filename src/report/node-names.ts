/** The names a node mentions, as numbers, without decoding the node. Pure. */

import { tapeRecord } from '../proto/deferred.ts';
import type { NodeTape } from '../proto/headers.ts';
import type { onnx } from '../proto/onnx.ts';

/** Reads names of nodes from the tape where they are on it, else from the message. */
export class NodeNames {
  readonly #tape: NodeTape;

  constructor(tape: NodeTape) {
    this.#tape = tape;
  }

  inputs(node: onnx.INodeProto): number[] {
    return this.#read(node, 'input');
  }

  outputs(node: onnx.INodeProto): number[] {
    return this.#read(node, 'output');
  }

  #read(node: onnx.INodeProto, side: 'input' | 'output'): number[] {
    const tape = this.#tape;
    const record = tapeRecord(node);
    if (record === undefined) {
      return (node[side] ?? []).map((name) => tape.names.internText(name));
    }
    const count = tape[`${side}Count`](record);
    return Array.from({ length: count }, (_, index) => tape[side](record, index));
  }

  /** Number of the node's name. */
  nameId(node: onnx.INodeProto): number {
    return this.#tape.names.internText(this.#name(node));
  }

  #name(node: onnx.INodeProto): string {
    const record = tapeRecord(node);
    return record === undefined ? (node.name ?? '') : this.#tape.name(record);
  }

  /** Name for messages: the node's own, or its type and first output when it has none. */
  label(node: onnx.INodeProto): string {
    const name = this.#name(node);
    if (name !== '') return name;
    const record = tapeRecord(node);
    const opType = record === undefined ? (node.opType ?? '') : this.#tape.opType(record);
    const [output] = this.outputs(node);
    return `${opType} → ${output === undefined ? '?' : this.#tape.names.peek(output)}`;
  }
}
