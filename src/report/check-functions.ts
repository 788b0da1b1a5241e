/** Local functions: defined once, called as they are defined, never by themselves. Pure. */

import { quoted } from '../external-data/reference.ts';
import { findCycles } from '../model/cycles.ts';
import { plainDomain } from '../model/node.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Findings, Place } from './findings.ts';

/** Domains of operators that are no functions of the model, whatever functions it has. */
const KNOWN_DOMAIN = /^(?:|com\.microsoft(?:\..+)?|ai\.onnx\..+)$/;

/** Functions that a message names when they call each other in a ring. */
const SHOWN_CALLS = 8;

interface Callee {
  readonly index: number;
  readonly proto: onnx.IFunctionProto;
}

/** How a node calls: its operator, and how many inputs and outputs it lists. */
export interface Call {
  readonly domain: string;
  readonly opType: string;
  readonly overload: string;
  readonly inputs: number;
  readonly outputs: number;
}

/** Name of a function for messages. */
export function functionLabel({ domain, name, overload }: onnx.IFunctionProto): string {
  return [plainDomain(domain), name, overload].filter(Boolean).join(':');
}

/** The functions of a model, and who calls them. Memory: the names, and one number a call. */
export class FunctionTable {
  readonly #findings: Findings;
  readonly #functions = new Map<string, Callee>();
  readonly #names = new Set<string>();
  readonly #domains = new Set<string>();
  /** By caller. */
  readonly #calls: Set<number>[] = [];
  readonly #labels: string[] = [];

  constructor(functions: readonly onnx.IFunctionProto[], findings: Findings) {
    this.#findings = findings;
    functions.forEach((proto, index) => {
      const domain = plainDomain(proto.domain);
      const name = proto.name ?? '';
      const label = functionLabel(proto);
      const where = { graph: label };
      const key = `${domain}\0${name}\0${proto.overload ?? ''}`;
      if (name === '') findings.add('warning', 'name-empty', where, 'a function has no name');
      else if (this.#functions.has(key)) {
        findings.add('error', 'function-duplicate', where, 'is defined twice');
      } else this.#functions.set(key, { index, proto });
      this.#names.add(`${domain}\0${name}`);
      this.#domains.add(domain);
      this.#calls.push(new Set());
      this.#labels.push(label);
    });
  }

  /**
   * Checks a node that may call a function.
   * @param caller index of the function that the node is part of
   */
  check(call: Call, caller: number | undefined, where: Place): void {
    if (this.#labels.length === 0) return;
    const { domain, opType, overload, inputs, outputs } = call;
    const callee = this.#functions.get(`${domain}\0${opType}\0${overload}`);
    if (callee === undefined) {
      this.#reportMissing(call, where);
      return;
    }
    if (caller !== undefined) this.#calls[caller]?.add(callee.index);
    const given = (count: number, of: number, what: string) => {
      const counted = `${count} ${what}${count === 1 ? '' : 's'}`;
      const message = `has ${counted}, function ${quoted(functionLabel(callee.proto))} has ${of}`;
      this.#findings.add('error', 'function-arguments', where, message);
    };
    const inputCount = callee.proto.input?.length ?? 0;
    const outputCount = callee.proto.output?.length ?? 0;
    if (inputs > inputCount) given(inputs, inputCount, 'input');
    // Fewer outputs are no error of the format, but ONNX Runtime refuses them.
    if (outputs !== outputCount) given(outputs, outputCount, 'output');
  }

  #reportMissing({ domain, opType, overload }: Call, where: Place): void {
    const label = quoted([domain, opType, overload].filter(Boolean).join(':'));
    if (this.#names.has(`${domain}\0${opType}`)) {
      const message = `calls ${label}; the model has this function, but not this overload`;
      this.#findings.add('error', 'function-missing', where, message);
    } else if (this.#domains.has(domain) && !KNOWN_DOMAIN.test(domain)) {
      const message = `calls ${label}; the model has functions of this domain, but not this one`;
      this.#findings.add('warning', 'function-missing', where, message);
    }
  }

  /** Reports functions that end up calling themselves; call when all nodes are checked. */
  checkRecursion(): void {
    const { paths } = findCycles(this.#calls.length, (caller) => [...(this.#calls[caller] ?? [])]);
    for (const path of paths) {
      const shown = path.slice(0, SHOWN_CALLS).map((index) => quoted(this.#labels[index] ?? ''));
      const more = path.length > SHOWN_CALLS ? ['…'] : [];
      const ring = [...shown, ...more, shown[0]].join(' → ');
      const where = { graph: this.#labels[path[0] ?? 0] ?? '' };
      this.#findings.add('error', 'function-recursion', where, `calls itself: ${ring}`);
    }
  }
}
