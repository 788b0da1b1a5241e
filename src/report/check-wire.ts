/** Whether every message can be decoded, and which of its fields this version does not know. Pure. */

import { FormatError } from '../errors.ts';
import { infoName, peek } from '../proto/deferred.ts';
import { onnx } from '../proto/onnx.ts';
import type { Findings, Place } from './findings.ts';

/** A message as it is decoded. */
interface Message {
  readonly $unknowns?: readonly Uint8Array[];
}

/** Fields whose messages have a place of their own and are looked at one by one. */
const VISITED_APART = new Set([
  'graph',
  'functions',
  'initialization',
  'algorithm',
  'node',
  'initializer',
  'input',
  'output',
  'valueInfo',
  'attributeProto',
  'g',
  'graphs',
  't',
  'tensors',
  'values',
  'indices',
]);

/** Names of the message types by their classes: `NodeProto`, `TypeProto.Tensor`. */
function messageTypes(): ReadonlyMap<unknown, string> {
  const types = new Map<unknown, string>();
  const add = (holder: object, prefix: string) => {
    for (const [name, type] of Object.entries(holder)) {
      if (typeof type !== 'function' || !('decode' in type)) continue;
      types.set(type, `${prefix}${name}`);
      add(type, `${prefix}${name}.`);
    }
  };
  add(onnx, '');
  return types;
}

/** Number of the field that serialized bytes begin with. */
function fieldNumber(bytes: Uint8Array): number {
  let tag = 0;
  for (const [index, byte] of bytes.subarray(0, 5).entries()) {
    tag += (byte & 127) * 2 ** (7 * index);
    if (byte < 128) break;
  }
  return Math.floor(tag / 8);
}

/** What `decode` gives; undefined when the message is damaged, which somebody else reports. */
function ifWhole<Result>(decode: () => Result): Result | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** The message for a look; undefined when it is damaged, which somebody else reports. */
export function peekIfWhole<Message extends object>(
  message: Message | null | undefined,
): Message | undefined {
  return message ? ifWhole(() => peek(message)) : undefined;
}

/** The name of an input, an output or an entry of `value_info`; undefined when it is damaged. */
export function nameIfWhole(info: onnx.IValueInfoProto): string | undefined {
  return ifWhole(() => infoName(info));
}

/** Looks at messages, decoding those that are not decoded yet for once. Memory: one message. */
export class WireCheck {
  readonly #findings: Findings;
  readonly #types = messageTypes();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** The message for a look; undefined, with a finding, when it is damaged. */
  look<Message extends object>(message: Message, where: Place): Message | undefined {
    return this.#attempt(where, () => {
      const seen = peek(message);
      this.#fields(seen, where);
      return seen;
    });
  }

  /** The name of an entry of `value_info`; undefined, with a finding, when the entry is damaged. */
  nameOf(info: onnx.IValueInfoProto, where: Place): string | undefined {
    return this.#attempt(where, () => infoName(info));
  }

  #attempt<Result>(where: Place, decode: () => Result): Result | undefined {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const { cause } = error;
      const reason = cause instanceof Error ? cause.message : error.message;
      this.#findings.add('error', 'protobuf', where, `is not valid protobuf (${reason})`);
      return undefined;
    }
  }

  #fields(message: Message, where: Place): void {
    const type = this.#types.get(message.constructor);
    if (type === undefined) return;
    // An own property where there are any: the prototype has it not.
    for (const bytes of message.$unknowns ?? []) {
      const field = `${type} field ${fieldNumber(bytes)}`;
      this.#findings.add(
        'warning',
        'unknown-field',
        where,
        `${field} is not known to this version; it is kept as it is`,
        field,
      );
    }
    for (const name of Object.keys(message)) {
      const value = message[name as keyof typeof message] as unknown;
      if (typeof value !== 'object' || value === null || VISITED_APART.has(name)) continue;
      if (!Array.isArray(value)) this.#fields(value, where);
      else if (typeof value[0] === 'object') for (const item of value) this.#fields(item, where);
    }
  }
}
