/** A model as the text form of model-text.ts, with the places of its bytes instead of their contents. */

import { dtypeLabel } from '../../src/dtypes.ts';
import type { Graph } from '../../src/model/graph.ts';
import type { Model } from '../../src/model/model.ts';
import type { Node } from '../../src/model/node.ts';
import type { Tensor } from '../../src/model/tensor.ts';
import type { Value } from '../../src/model/value.ts';
import { longToNumber } from '../../src/proto/int64.ts';
import type { onnx } from '../../src/proto/onnx.ts';

function declared(name: string, info: onnx.IValueInfoProto | undefined): string {
  const tensor = info?.type?.tensorType;
  if (!tensor) return name;
  const dims = (tensor.shape?.dim ?? []).map(
    (dim) => dim.dimParam || longToNumber(dim.dimValue, 'dim'),
  );
  return `${name}: ${dtypeLabel(tensor.elemType ?? 0)}[${dims.join(', ')}]`;
}

function attributeText(attribute: onnx.IAttributeProto): string {
  const { name, type } = attribute;
  if (attribute.refAttrName) return `${name}: &${attribute.refAttrName}`;
  if (type === 1) return `${name}: ${Number(attribute.f).toFixed(2)}`;
  if (type === 2) return `${name}: ${longToNumber(attribute.i, 'int')}`;
  if (type === 3) return `${name}: "${new TextDecoder().decode(attribute.s ?? undefined)}"`;
  if (type === 7) {
    return `${name}: [${(attribute.ints ?? []).map((item) => longToNumber(item, 'int')).join(', ')}]`;
  }
  return `${name}: (type ${type})`;
}

/** What a text without an `ir` line means. */
const TEXT_IR_VERSION = 10;

class Printer {
  readonly lines: string[] = [];
  readonly #model: Model;
  readonly #places = new Map<string, string>();

  constructor(model: Model) {
    this.#model = model;
  }

  print(): string {
    const { proto } = this.#model;
    const irVersion = longToNumber(proto.irVersion, 'ir_version');
    if (irVersion !== TEXT_IR_VERSION) this.lines.push(`ir ${irVersion}`);
    for (const { domain, version } of proto.opsetImport ?? []) {
      this.lines.push(`opset ${domain ? `${domain} ` : ''}${longToNumber(version, 'version')}`);
    }
    this.#graph(this.#model.graph, '');
    for (const body of this.#model.functions) this.#function(body);
    return `${this.lines.join('\n')}\n`;
  }

  #function(body: Graph): void {
    const proto = body.proto as onnx.IFunctionProto;
    const list = (values: readonly Value[]) => values.map(({ name }) => name).join(', ');
    this.lines.push(
      `function ${proto.domain}.${proto.name}(${list(body.inputs)}) -> ${list(body.outputs)}`,
    );
    for (const node of body.nodes) this.#node(node, '  ');
  }

  #graph(graph: Graph, indent: string): void {
    const proto = graph.proto as onnx.IGraphProto;
    const put = (word: string, infos: readonly onnx.IValueInfoProto[] | null | undefined) => {
      for (const info of infos ?? []) {
        this.lines.push(`${indent}${word} ${declared(info.name ?? '', info)}`);
      }
    };
    put('input', proto.input);
    put('output', proto.output);
    put('value', proto.valueInfo);
    for (const [name, { tensor }] of graph.initializers) {
      if (tensor !== undefined) {
        this.lines.push(`${indent}weight ${this.#tensor(name, tensor)}`);
      }
    }
    for (const node of graph.nodes) this.#node(node, indent);
  }

  /** Tensors of 1 KiB and more that lie on the bytes of an earlier one say so. */
  #tensor(name: string, tensor: Tensor): string {
    const text = `${name}: ${dtypeLabel(tensor.dtype)}[${tensor.dims.join(', ')}]`;
    const { data } = tensor;
    if (data.kind === 'inline' && tensor.dtype === 7) {
      const values = new BigInt64Array(Uint8Array.from(data.bytes).buffer);
      return `${text} = list(${values.join(', ')})`;
    }
    if (data.kind !== 'range') return text;
    const key = `${data.file.fd}:${data.byteOffset}:${data.byteLength}`;
    const first = this.#places.get(key);
    if (first !== undefined) return `${text} = bytes(${first})`;
    this.#places.set(key, name);
    return text;
  }

  #node(node: Node, indent: string): void {
    const output = node.outputs[0];
    const value = node.proto.attribute?.find(({ name }) => name === 'value')?.t;
    const constant = value ? this.#model.otherTensors.get(value) : undefined;
    if (node.is('Constant') && constant !== undefined && output) {
      this.lines.push(`${indent}const ${this.#tensor(output.name, constant)}`);
      return;
    }
    const list = (values: readonly (Value | undefined)[]) =>
      values.map((item) => item?.name ?? '').join(', ');
    const attributes = (node.proto.attribute ?? []).filter(({ type }) => type !== 5);
    const operator = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
    this.lines.push(
      `${indent}${list(node.outputs)} = ${operator}(${list(node.inputs)})` +
        (node.name === '' ? '' : ` @${node.name}`) +
        (attributes.length === 0 ? '' : ` {${attributes.map(attributeText).join(', ')}}`),
    );
    node.subgraphs.forEach((graph) => {
      this.lines.push(`${indent}  ${graph.name}:`);
      this.#graph(graph, `${indent}    `);
    });
  }
}

/** Prints a model; two models with the same graph and the same sharing of bytes print alike. */
export function printModel(model: Model): string {
  return new Printer(model).print();
}
