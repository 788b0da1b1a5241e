import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Model } from '../../src/model/model.ts';
import { syncModel } from '../../src/model/sync.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { parseModelText } from '../support/model-text.ts';

const LAYOUTS = fileURLToPath(new URL('../models/layouts', import.meta.url));

function models(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return models(path);
    return name.endsWith('.onnx') ? [path] : [];
  });
}

/** Bytes of `proto` after it went through the graph and back; payloads stay in their messages. */
function roundTrip(bytes: Uint8Array): Uint8Array {
  const proto = onnx.ModelProto.decode(bytes);
  const model = new Model(proto, () => ({ kind: 'proto' }));
  return onnx.ModelProto.encode(syncModel(model)).finish();
}

describe('an untouched model', () => {
  it.each(models(LAYOUTS).map((path) => [path.slice(LAYOUTS.length + 1), path]))(
    '%s comes back byte for byte',
    (_, path) => {
      const bytes = readFileSync(path);
      expect(Buffer.compare(roundTrip(bytes), bytes)).toBe(0);
    },
  );

  it('keeps what the graph does not interpret', () => {
    const { proto } = parseModelText(`
input x: fp32[4, dynamic]
input c: bool[]
output y: fp32[4, dynamic]
output x2
value h: fp32[4, dynamic]
value nobody: fp32[1]
weight w: fp32[4, 1]
h = Add(x, w) @add
x2 = Identity(x)
y = If(c) @if
  then_branch:
    output t: fp32[4, dynamic]
    value u: fp32[4, dynamic]
    u = Neg(h)
    t = local.F(u, , u) {alpha: 0.5}
  else_branch:
    output e
    e = Identity(h)
function local.F(a, b, c) -> d
  d = Mul(a, c) {mode: "x", alpha: &alpha}
`);
    const graph = proto.graph as onnx.IGraphProto;
    proto.metadataProps = [{ key: 'owner', value: 'somebody' }];
    proto.trainingInfo = [{ updateBinding: [{ key: 'w', value: 'h' }] }];
    graph.docString = 'a graph';
    graph.metadataProps = [{ key: 'k', value: 'v' }];
    graph.quantizationAnnotation = [
      { tensorName: 'w', quantParameterTensorNames: [{ key: 'SCALE_TENSOR', value: 'w' }] },
    ];
    const [node] = graph.node ?? [];
    if (node) node.metadataProps = [{ key: 'namespace', value: 'model/layers.0' }];
    const [tensor] = graph.initializer ?? [];
    if (tensor) {
      tensor.floatData = [1, 2, 3, 4];
      tensor.docString = 'a weight';
    }
    const bytes = onnx.ModelProto.encode(proto).finish();
    expect(Buffer.compare(roundTrip(bytes), bytes)).toBe(0);
  });

  it('keeps a body that hands on a value of the graph around it', () => {
    const { proto } = parseModelText(`
input x: fp32[4]
input c: bool[]
output y
h = Neg(x)
y = If(c)
  then_branch:
    output h: fp32[4]
  else_branch:
    output e
    e = Abs(x)
`);
    const bytes = onnx.ModelProto.encode(proto).finish();
    expect(Buffer.compare(roundTrip(bytes), bytes)).toBe(0);
  });
});

describe('an edited model', () => {
  it('drops the value_info of values that are gone and states new ones', () => {
    const { proto } = parseModelText(`
input x: fp32[4]
output y
value h: fp32[4]
h = Neg(x)
y = Neg(h)
`);
    const model = new Model(proto, () => ({ kind: 'proto' }));
    const { graph } = model;
    const [first, last] = graph.nodes;
    if (first === undefined || last === undefined) throw new Error('two nodes');
    const made = graph.createNode({
      opType: 'Abs',
      name: 'abs',
      inputs: [graph.values.get('x')],
      outputs: [model.names.claim('h')],
    });
    const output = made.outputs[0];
    if (output) output.info = { name: 'wrong', type: { tensorType: { elemType: 1 } } };
    graph.replaceNode(first, made);
    last.setInput(0, output);
    graph.removeNodes(new Set([first]));
    const synced = syncModel(model).graph;
    expect(synced?.valueInfo?.map((info) => info.name)).toEqual(['h_1']);
    expect(synced?.node?.map((node) => [node.opType, node.input, node.output])).toEqual([
      ['Abs', ['x'], ['h_1']],
      ['Neg', ['h_1'], ['y']],
    ]);
  });
});
