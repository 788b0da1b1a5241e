/**
 * A readable text form of small ONNX models: one line a statement, bodies indented by two spaces.
 *
 *     ir 10
 *     opset 21
 *     opset com.microsoft 1
 *     input ids: int64[batch, seq]
 *     output logits: fp32[batch, seq, 512]
 *     weight E: fp32[512, 64] = random(1)
 *     const W: fp32[64, 512] = transpose(E)        a Constant node
 *     h = Gather(E, ids) @embed {axis: 0}
 *     y, = local.Layer(h, , W)                     omitted input, domain before the operator
 *     z = If(c)
 *       then_branch:
 *         output a
 *         a = Identity(h)
 *     function local.Layer(x, skip, w) -> y
 *       y = MatMul(x, w)
 */

import { attributeProto } from '../../src/model/attributes.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { describedTensor, type KnownTensor, TYPE_CODES } from './tensor-values.ts';

/** A parsed model: the messages, and the bytes of every tensor in them. */
export interface TextModel {
  readonly proto: onnx.IModelProto;
  readonly payloads: Map<onnx.ITensorProto, KnownTensor>;
  /** Tensors by name. */
  readonly tensors: ReadonlyMap<string, KnownTensor>;
}

interface Line {
  readonly indent: number;
  readonly text: string;
}

function splitLines(text: string): Line[] {
  return text
    .split('\n')
    .map((line) => line.replace(/\s+#.*$/, '').trimEnd())
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('#'))
    .map((line) => ({ indent: line.length - line.trimStart().length, text: line.trim() }));
}

function names(list: string): string[] {
  if (list.trim() === '') return [];
  return list.split(',').map((name) => name.trim());
}

interface TypeText {
  readonly dtype: number;
  readonly dims: readonly (number | string)[];
}

function parseType(text: string): TypeText {
  const match = /^(\w+)\[(.*)\]$/.exec(text.trim());
  const dtype = TYPE_CODES[match?.[1] ?? ''];
  if (match === null || dtype === undefined) throw new Error(`"${text}" is not a type`);
  const dims = names(match[2] ?? '').map((dim) => (/^\d+$/.test(dim) ? Number(dim) : dim));
  return { dtype, dims };
}

function valueInfo(text: string): onnx.IValueInfoProto {
  const colon = text.indexOf(':');
  if (colon < 0) return { name: text };
  const { dtype, dims } = parseType(text.slice(colon + 1));
  const dim = dims.map((size) =>
    typeof size === 'number' ? { dimValue: size } : { dimParam: size },
  );
  return {
    name: text.slice(0, colon),
    type: { tensorType: { elemType: dtype, shape: { dim } } },
  };
}

function parseAttribute(name: string, text: string): onnx.IAttributeProto {
  if (text.startsWith('[')) {
    return attributeProto(name, { ints: names(text.slice(1, -1)).map(Number) });
  }
  if (text.startsWith('"')) return attributeProto(name, { string: text.slice(1, -1) });
  if (text.startsWith('&')) return { name, refAttrName: text.slice(1), type: 2 };
  const value = Number(text);
  if (Number.isNaN(value)) throw new Error(`"${text}" is not the value of an attribute`);
  return attributeProto(name, /[.e]/.test(text) ? { float: value } : { int: value });
}

function parseAttributes(text: string): onnx.IAttributeProto[] {
  return [...text.matchAll(/(\w+): (\[[^\]]*\]|"[^"]*"|[^,\s]+)/g)].map(([, name, value]) =>
    parseAttribute(name ?? '', value ?? ''),
  );
}

const NODE = /^(.*?)\s*=\s*([\w.]+)\((.*?)\)(?:\s+@(\S+))?(?:\s+\{(.*)\})?$/;

class Parser {
  readonly payloads = new Map<onnx.ITensorProto, KnownTensor>();
  readonly tensors = new Map<string, KnownTensor>();
  /** Domains of nodes and functions, beside the standard one. */
  readonly #domains = new Set<string>();
  readonly #lines: readonly Line[];
  #next = 0;

  constructor(text: string) {
    this.#lines = splitLines(text);
  }

  model(): onnx.IModelProto {
    const graph: onnx.IGraphProto = { name: 'main' };
    const model: onnx.IModelProto = { irVersion: 10, graph, functions: [], opsetImport: [] };
    for (let line = this.#peek(0); line !== undefined; line = this.#peek(0)) {
      const [word = '', ...rest] = line.split(' ');
      if (word === 'ir') model.irVersion = Number(rest[0]);
      else if (word === 'opset') {
        const [domain, version] = rest.length > 1 ? rest : ['', rest[0]];
        model.opsetImport?.push({ domain: domain ?? '', version: Number(version) });
      } else if (word === 'function') {
        this.#next++;
        model.functions?.push(this.#function(rest.join(' ')));
        continue;
      } else {
        this.#statement(graph, line, 0);
        continue;
      }
      this.#next++;
    }
    if (model.opsetImport?.length === 0) {
      model.opsetImport.push({ domain: '', version: 21 }, { domain: 'com.microsoft', version: 1 });
    }
    for (const domain of this.#domains) {
      if (model.opsetImport?.every((entry) => entry.domain !== domain)) {
        model.opsetImport.push({ domain, version: 1 });
      }
    }
    return model;
  }

  /** The next line when it is indented by exactly `indent`. */
  #peek(indent: number): string | undefined {
    const line = this.#lines[this.#next];
    return line?.indent === indent ? line.text : undefined;
  }

  #function(head: string): onnx.IFunctionProto {
    const match = /^([\w.]+)\.(\w+)\((.*)\) -> (.*)$/.exec(head);
    if (match === null) throw new Error(`"${head}" is not the head of a function`);
    const body: onnx.IGraphProto = {};
    for (let line = this.#peek(2); line !== undefined; line = this.#peek(2)) {
      this.#statement(body, line, 2);
    }
    const others = new Set((body.node ?? []).map(({ domain }) => domain ?? ''));
    for (const domain of ['', 'com.microsoft']) others.delete(domain);
    return {
      domain: match[1] ?? '',
      name: match[2] ?? '',
      input: names(match[3] ?? ''),
      output: names(match[4] ?? ''),
      node: body.node ?? [],
      opsetImport: [
        { domain: '', version: 21 },
        { domain: 'com.microsoft', version: 1 },
        ...[...others].map((domain) => ({ domain, version: 1 })),
      ],
    };
  }

  #statement(graph: onnx.IGraphProto, line: string, indent: number): void {
    this.#next++;
    const [, word = '', rest = ''] = /^(\w+) (.*)$/.exec(line) ?? [];
    graph.node ??= [];
    if (word === 'input') graph.input = [...(graph.input ?? []), valueInfo(rest)];
    else if (word === 'output') graph.output = [...(graph.output ?? []), valueInfo(rest)];
    else if (word === 'value') graph.valueInfo = [...(graph.valueInfo ?? []), valueInfo(rest)];
    else if (word === 'weight') {
      graph.initializer = [...(graph.initializer ?? []), this.#tensor(rest)];
    } else if (word === 'const') {
      const tensor = this.#tensor(rest);
      const attribute = [{ name: 'value', type: 4, t: tensor }];
      graph.node.push({ opType: 'Constant', output: [tensor.name ?? ''], attribute });
    } else graph.node.push(this.#node(line, indent));
  }

  #tensor(text: string): onnx.ITensorProto {
    const match = /^(\S*): (\w+\[.*?\])(?: = (.*))?$/.exec(text);
    if (match === null) throw new Error(`"${text}" is not a tensor`);
    const [, name = '', type = '', description = 'random(1)'] = match;
    const { dtype, dims } = parseType(type);
    const known = describedTensor(description, dtype, dims.map(Number), (other) => {
      const found = this.tensors.get(other);
      if (found === undefined) throw new Error(`"${text}" refers to an unknown tensor ${other}`);
      return found;
    });
    const proto: onnx.ITensorProto = { name, dataType: dtype, dims: dims.map(Number) };
    this.payloads.set(proto, known);
    this.tensors.set(name, known);
    return proto;
  }

  #node(line: string, indent: number): onnx.INodeProto {
    const match = NODE.exec(line);
    if (match === null) throw new Error(`"${line}" is not a statement`);
    const [, outputs = '', operator = '', inputs = '', name = '', attributes = ''] = match;
    const dot = operator.lastIndexOf('.');
    if (dot > 0) this.#domains.add(operator.slice(0, dot));
    const node: onnx.INodeProto = {
      input: names(inputs),
      output: names(outputs),
      name,
      opType: operator.slice(dot + 1),
      domain: operator.slice(0, Math.max(0, dot)),
      attribute: parseAttributes(attributes),
    };
    for (let head = this.#peek(indent + 2); head !== undefined; head = this.#peek(indent + 2)) {
      this.#next++;
      const g: onnx.IGraphProto = { name: head.slice(0, -1) };
      for (let body = this.#peek(indent + 4); body !== undefined; body = this.#peek(indent + 4)) {
        this.#statement(g, body, indent + 4);
      }
      node.attribute?.push({ name: head.slice(0, -1), type: 5, g });
    }
    return node;
  }
}

/**
 * Parses the text form. Without `opset` lines the model imports ONNX 21 and com.microsoft 1; other domains that its
 * nodes use are imported as version 1.
 */
export function parseModelText(text: string): TextModel {
  const parser = new Parser(text);
  const proto = parser.model();
  return { proto, payloads: parser.payloads, tensors: parser.tensors };
}
