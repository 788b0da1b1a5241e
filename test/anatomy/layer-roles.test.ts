import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findLayerRoles } from '../../src/anatomy/layer-roles.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { openText } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const LAYOUTS = fileURLToPath(new URL('../models/layouts/', import.meta.url));
const MODELS = readdirSync(LAYOUTS).map((name) =>
  name.startsWith('mobius-whisper') ? `${name}/decoder` : name,
);

/** `layer role` of every linear layer, in the order of the graph. */
function roles(path: string): string[] {
  using opened = openModel(path);
  const { byNode } = findLayerRoles(opened.model);
  return [...byNode.values()].map(({ layer, role }) => `${layer ?? '-'} ${role}`);
}

/** Roles by the last part of exporters' module paths: the oracle. */
const ORACLE: readonly (readonly [RegExp, string])[] = [
  [/linear_attn\/in_proj_(qkv|z|a|b)\//, 'mixer-in'],
  [/linear_attn\/out_proj\//, 'mixer-out'],
  [/\/attn\/qkv_proj\//, 'qkv'],
  [/attn\/q_proj\//, 'q'],
  [/attn\/k_proj\//, 'k'],
  [/attn\/v_proj\//, 'v'],
  [/attn\/(o|out)_proj\//, 'o'],
  [/\/gate_proj\//, 'gate'],
  [/\/(up_proj|fc1)\//, 'up'],
  [/\/(down_proj|fc2)\//, 'down'],
  [/(lm_head|proj_out)\//, 'head'],
];

function rolesByName(path: string): string[] {
  using opened = openModel(path);
  return [...findLayerRoles(opened.model).byNode.keys()].map(({ name }) => {
    const role = ORACLE.find(([pattern]) => pattern.test(name))?.[1];
    return `${/(?:layers\.|\/h\.)(\d+)/.exec(name)?.[1] ?? '-'} ${role}`;
  });
}

/** torch's exporter has no module paths; the modules of a Llama are called in this order. */
function dynamoRoles(): string[] {
  const layer = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];
  return [...[0, 1].flatMap((index) => layer.map((role) => `${index} ${role}`)), '- head'];
}

/** A copy of a model in which every node and value has a number for a name, in no order. */
function scrambled(path: string): string {
  const proto = onnx.ModelProto.decode(readFileSync(path));
  const names = new Map<string, string>();
  const rename = (name: string | null | undefined) => {
    if (!name) return '';
    const known = names.get(name) ?? `n${(names.size * 7919) % 1_000_003}`;
    names.set(name, known);
    return known;
  };
  const { graph } = proto;
  for (const node of graph?.node ?? []) {
    node.name = rename(`node ${node.name}`);
    node.input = node.input?.map(rename) ?? [];
    node.output = node.output?.map(rename) ?? [];
  }
  for (const named of [
    ...(graph?.initializer ?? []),
    ...(graph?.input ?? []),
    ...(graph?.output ?? []),
    ...(graph?.valueInfo ?? []),
  ]) {
    named.name = rename(named.name);
  }
  const directory = scratch('scrambled');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'model.onnx'), onnx.ModelProto.encode(proto).finish());
  writeFileSync(join(directory, 'model.onnx.data'), readFileSync(`${path}.data`));
  return join(directory, 'model.onnx');
}

describe.each(MODELS)('%s', (name) => {
  const path = join(LAYOUTS, name, 'model.onnx');

  it('has the layers that its names tell of', () => {
    const expected = name.startsWith('dynamo') ? dynamoRoles() : rolesByName(path);
    expect(roles(path)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(8);
  });

  it('has the same layers when no name tells anything', () => {
    expect(roles(scrambled(path))).toEqual(roles(path));
  });
});

it('tells layers with linear attention from those with attention', () => {
  using opened = openModel(join(LAYOUTS, 'mobius-qwen35-text-f16-default', 'model.onnx'));
  const { layerCount, linearAttention } = findLayerRoles(opened.model);
  expect(layerCount).toBe(4);
  expect([...linearAttention]).toEqual([0, 1, 2]);
});

describe('by structure', () => {
  const HEADER = `
input x: fp32[1, rows, 32]
input c: fp32[1, 2, past, 16]
output logits
weight Q: fp32[32, 32]
weight K: fp32[32, 32]
weight V: fp32[32, 32]
weight P: fp32[32, 96]
weight G: fp32[32, 64]
weight U: fp32[32, 64]
weight D: fp32[64, 32]
weight S: fp32[32, 128]
weight R: fp32[32, 4]
weight H: fp32[32, 512]
weight norm: fp32[32]
`;

  function found(body: string): Record<string, string> {
    using opened = openText(scratch(), HEADER + body);
    const { byNode } = findLayerRoles(opened.model);
    return Object.fromEntries(
      [...byNode].map(([node, { layer, role }]) => [node.name, `${layer ?? '-'} ${role}`]),
    );
  }

  it('queries, keys and values packed in one layer, attention written out', () => {
    expect(
      found(`
p = MatMul(x, P) @a
q, k, v = Split(p) {axis: -1, num_outputs: 3}
t = Transpose(k) {perm: [0, 2, 1]}
s = MatMul(q, t)
w = Softmax(s)
m = MatMul(w, v)
o = MatMul(m, Q) @b
r = Add(x, o)
logits = MatMul(r, H) @c`),
    ).toEqual({ a: '0 qkv', b: '0 o', c: '- head' });
  });

  it('an MLP with gate and up packed, another beside attention, and one without attention', () => {
    const packed = `
g = MatMul(x, S) @packed
l, r = Split(g) {axis: -1, num_outputs: 2}
s = Sigmoid(l)
a = Mul(l, s)
b = Mul(a, r)
d = MatMul(b, D) @down
y = Add(x, d)`;
    expect(found(`${packed}\nlogits = MatMul(y, H) @head`)).toEqual({
      packed: '- gate-up',
      down: '- down',
      head: '- head',
    });
    expect(
      found(`${packed}
p = MatMul(x, P) @qkv
m = com.microsoft.GroupQueryAttention(p) {num_heads: 2}
o = MatMul(m, Q) @o
z = Add(y, o)
logits = MatMul(z, H) @head`),
    ).toEqual({
      packed: '0 gate-up',
      down: '0 down',
      qkv: '0 qkv',
      o: '0 o',
      head: '- head',
    });
  });

  it('GELU written out, tanh and all; the residual stream before it without a norm', () => {
    expect(
      found(`
p = MatMul(x, P) @qkv
m = com.microsoft.GroupQueryAttention(p) {num_heads: 2}
o = MatMul(m, Q) @o
y = Add(x, o)
u = MatMul(y, U) @up
c3 = Pow(u, norm)
i = Add(u, c3)
t = Tanh(i)
g = Mul(u, t)
d = MatMul(g, D) @down
z = Add(y, d)
logits = MatMul(z, H) @head`),
    ).toMatchObject({ up: '0 up', down: '0 down' });
  });

  it('a cross attention whose keys and values are a cache begins no layer', () => {
    const layer = (x: string, i: number) => `
q${i} = MatMul(${x}, Q) @${i}.q
k${i} = MatMul(${x}, K) @${i}.k
v${i} = MatMul(${x}, V) @${i}.v
a${i} = com.microsoft.MultiHeadAttention(q${i}, k${i}, v${i}) {num_heads: 2}
o${i} = MatMul(a${i}, Q) @${i}.o
r${i} = Add(${x}, o${i})
cq${i} = MatMul(r${i}, K) @${i}.cross.q
b${i} = com.microsoft.MultiHeadAttention(cq${i}, c, c) {num_heads: 2}
p${i} = MatMul(b${i}, V) @${i}.cross.o
y${i} = Add(r${i}, p${i})`;
    const text = `${layer('x', 0)}${layer('y0', 1)}\nlogits = MatMul(y1, H) @head`;
    expect(found(text)).toEqual({
      '0.q': '0 q',
      '0.k': '0 k',
      '0.v': '0 v',
      '0.o': '0 o',
      '0.cross.q': '0 q',
      '0.cross.o': '0 o',
      '1.q': '1 q',
      '1.k': '1 k',
      '1.v': '1 v',
      '1.o': '1 o',
      '1.cross.q': '1 q',
      '1.cross.o': '1 o',
      head: '- head',
    });
  });

  it('keys and values of an earlier layer may be read again', () => {
    expect(
      found(`
q0 = MatMul(x, Q) @q0
k0 = MatMul(x, K) @k0
v0 = MatMul(x, V) @v0
a0 = com.microsoft.GroupQueryAttention(q0, k0, v0) {num_heads: 2}
o0 = MatMul(a0, Q) @o0
y = Add(x, o0)
q1 = MatMul(y, K) @q1
a1 = com.microsoft.GroupQueryAttention(q1, k0, v0) {num_heads: 2}
o1 = MatMul(a1, V) @o1
z = Add(y, o1)
logits = MatMul(z, H) @head`),
    ).toMatchObject({ q0: '0 q', k0: '0 k', v0: '0 v', q1: '1 q', o1: '1 o' });
  });

  it('a router, whether what it chooses from is one operator or written out', () => {
    expect(
      found(`
r = MatMul(x, R) @router
p = Softmax(r)
i, j = TopK(p, norm)
logits = MatMul(x, H) @head`),
    ).toMatchObject({ router: '- router' });
    expect(
      found(`
r = MatMul(x, R) @router
y = com.microsoft.QMoE(x, r, Q, Q)
logits = MatMul(y, H) @head`),
    ).toMatchObject({ router: '- router' });
  });

  it('names tell where nothing else does, and only there', () => {
    expect(
      found(`
a = MatMul(x, Q) @model/layers.3/attn/v_proj/MatMul
u = MatMul(x, U) @model/layers.3/attn/q_proj/MatMul
g = Gelu(u)
d = MatMul(g, D) @model/layers.3/attn/k_proj/MatMul
y = Add(a, d)
z = Add(y, x)
e = MatMul(z, K) @plain
logits = MatMul(e, H) @head`),
    ).toEqual({
      'model/layers.3/attn/v_proj/MatMul': '3 v',
      'model/layers.3/attn/q_proj/MatMul': '3 up',
      'model/layers.3/attn/k_proj/MatMul': '3 down',
      plain: '- other',
      head: '- head',
    });
  });
});
