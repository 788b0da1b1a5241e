import { describe, expect, it } from 'vitest';
import { findHead } from '../../src/anatomy/head.ts';
import { openText } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

interface Found {
  readonly node: string;
  readonly logits: string;
  readonly shape: readonly number[];
  readonly kind: string;
  readonly after: readonly string[];
}

function head(text: string): Found | undefined {
  using opened = openText(scratch(), text);
  const found = findHead(opened.model);
  if (found === undefined) return undefined;
  const { linear, logits, after } = found;
  return {
    node: linear.node.label,
    logits: logits.name,
    shape: [linear.n, linear.k],
    kind: linear.kind === 'float' ? linear.layout : linear.kind,
    after: after.map((node) => node.opType),
  };
}

const BEFORE =
  'input x: fp32[1, 3, 32]\noutput logits\nweight W: fp32[32, 48]\nweight R: fp32[48, 32]\n';

describe('the head is found', () => {
  it.each([
    ['as a MatMul', 'logits = MatMul(x, W)', 'columns'],
    ['behind a Transpose', 't = Transpose(R) {perm: [1, 0]}\nlogits = MatMul(x, t)', 'rows'],
    ['behind a Transpose without perm', 't = Transpose(R)\nlogits = MatMul(x, t)', 'rows'],
    [
      'behind Identity and Cast',
      'i = Identity(W)\nc = Cast(i) {to: 1}\nlogits = MatMul(x, c)',
      'columns',
    ],
    [
      'behind two Transposes',
      't = Transpose(W)\nu = Transpose(t)\nlogits = MatMul(x, u)',
      'columns',
    ],
    ['as a stack of one weight', 'weight B: fp32[1, 32, 48]\nlogits = MatMul(x, B)', 'columns'],
    [
      'behind a Transpose of such a stack',
      'weight B: fp32[1, 48, 32]\nb = Transpose(B) {perm: [0, 2, 1]}\nlogits = MatMul(x, b)',
      'rows',
    ],
    ['as a Gemm', 'logits = Gemm(x, W)', 'columns'],
    ['as a Gemm with transB', 'logits = Gemm(x, R) {transB: 1}', 'rows'],
    [
      'as a Gemm with transB behind a Transpose',
      't = Transpose(W)\nlogits = Gemm(x, t) {transB: 1}',
      'columns',
    ],
    ['in a Constant node', 'const C: fp32[32, 48]\nlogits = MatMul(x, C)', 'columns'],
  ])('%s', (_, body, layout) => {
    expect(head(BEFORE + body)).toMatchObject({ logits: 'logits', shape: [48, 32], kind: layout });
  });

  it.each([
    ['a Cast', 'logits = Cast(h) {to: 10}', ['Cast']],
    ['a scale on either side', 's = Mul(h, c)\nlogits = Mul(c, s)', ['Mul', 'Mul']],
    ['a soft cap', 'd = Div(h, c)\nt = Tanh(d)\nlogits = Mul(t, c)', ['Mul', 'Tanh', 'Div']],
    ['a bias', 'logits = Add(c, h)', ['Add']],
    ['a Slice of the last position', 'logits = Slice(h, i, i, i)', ['Slice']],
    [
      'a Gather of the last position',
      'g = Gather(h, i) {axis: 1}\nlogits = Unsqueeze(g, i)',
      ['Unsqueeze', 'Gather'],
    ],
    [
      'a Gather by a computed position',
      'p = ReduceSum(x)\nlogits = Gather(h, p) {axis: 1}',
      ['Gather'],
    ],
    ['a Reshape to a computed shape', 'p = Shape(x)\nlogits = Reshape(h, p)', ['Reshape']],
  ])('before %s', (_, body, after) => {
    const text = `${BEFORE}weight c: fp32[1]\nweight i: int64[1] = list(1)\nh = MatMul(x, W) @head\n${body}`;
    expect(head(text)).toMatchObject({ node: 'head', after });
  });

  it('after a Slice or Gather of the last position', () => {
    const text = `${BEFORE}weight i: int64[1] = list(1)\ns = Gather(x, i) {axis: 1}\nlogits = MatMul(s, W) @head`;
    expect(head(text)).toMatchObject({ node: 'head', after: [] });
  });

  it('among several outputs, wherever logits stands', () => {
    const text = `
input x: fp32[1, 3, 32]
output hidden_states
output present.0.key
output logits
output wide
weight W: fp32[32, 48]
weight K: fp32[32, 96]
hidden_states = Neg(x)
present.0.key = MatMul(hidden_states, K)
logits = MatMul(hidden_states, W) @head
wide = MatMul(hidden_states, K)
`;
    expect(head(text)?.node).toBe('head');
  });

  it('as the widest layer behind an output when no name helps; a cache is none', () => {
    const text = `
input 0: fp32[1, 3, 32]
output 1
output 2
output present.0.key
weight a: fp32[32, 48]
weight b: fp32[32, 64]
weight c: fp32[32, 96]
1 = MatMul(0, a)
2 = MatMul(0, b) @head
present.0.key = MatMul(0, c)
`;
    expect(head(text)).toMatchObject({ node: 'head', logits: '2' });
  });

  it('as a MatMulNBits with the defaults of ONNX Runtime', () => {
    const text = `
input x: fp32[1, 3, 64]
output logits
weight F: fp32[48, 64]
weight Q: uint8[48, 2, 16] = codes(F, 4, 32)
weight S: fp32[48, 2] = scales(F, 4, 32)
logits = com.microsoft.MatMulNBits(x, Q, S) @head {K: 64, N: 48, block_size: 32}
`;
    expect(head(text)).toMatchObject({ node: 'head', shape: [48, 64], kind: 'quantized' });
  });
});

describe('no head is found', () => {
  it.each([
    ['where two computed values are added', 'h = MatMul(x, W)\nlogits = Add(h, h)'],
    ['where both sides are computed', 'r = Neg(W)\nlogits = MatMul(x, r)'],
    ['in a model without linear layers', 'logits = Neg(x)'],
    ['behind a custom operator', 'h = MatMul(x, W)\nlogits = custom.Add(h, W)'],
    ['of a MatMul of another domain', 'logits = custom.MatMul(x, W)'],
    ['of a Gemm with alpha', 'logits = Gemm(x, W) {alpha: 0.5}'],
    ['of a Gemm with a transposed left-hand side', 'logits = Gemm(x, W) {transA: 1}'],
    [
      'of a weight a caller may replace',
      'input V: fp32[32, 48]\nweight V: fp32[32, 48]\nlogits = MatMul(x, V)',
    ],
    ['of a stack of weights', 'weight B: fp32[2, 32, 48]\nlogits = MatMul(x, B)'],
    [
      'behind a Transpose of all three dimensions',
      'weight B: fp32[48, 32, 1]\nb = Transpose(B) {perm: [2, 1, 0]}\nlogits = MatMul(x, b)',
    ],
    [
      'behind a Transpose that does nothing',
      't = Transpose(W) {perm: [0, 1]}\nlogits = MatMul(x, t)',
    ],
  ])('%s', (_, body) => {
    expect(head(BEFORE + body)).toBeUndefined();
  });

  it('of an attribute that is stated without a value: it is 0, not the default', () => {
    using opened = openText(scratch(), `${BEFORE}logits = Gemm(x, W) {alpha: 1.0}`, {
      edit: (_, graph) => {
        const [attribute] = graph.node?.[0]?.attribute ?? [];
        if (attribute) attribute.f = null;
      },
    });
    expect(findHead(opened.model)).toBeUndefined();
  });

  it.each([
    ['g_idx', 'weight G: int32[64]', '(x, Q, S, , G)', ''],
    ['a prepacked weight', '', '(x, Q, S)', ', weight_prepacked: 1'],
    ['zero points that are floats', 'weight Z: fp32[48, 2]', '(x, Q, S, Z)', ''],
    ['zero points of another shape', 'weight Z: uint8[48, 2]', '(x, Q, S, Z)', ''],
    ['computed zero points', 'Z = Identity(Y)\nweight Y: uint8[48, 1]', '(x, Q, S, Z)', ''],
    ['computed scales', 'T = Neg(S)', '(x, Q, T)', ''],
    ['computed codes', 'P = Neg(Q)', '(x, P, S)', ''],
    ['an N that is not that of its codes', '', '(x, Q, S)', ', bits: 8'],
  ])('of a MatMulNBits with %s', (_, more, inputs, attributes) => {
    const text = `
input x: fp32[1, 3, 64]
output logits
weight F: fp32[48, 64]
weight Q: uint8[48, 2, 16] = codes(F, 4, 32)
weight S: fp32[48, 2] = scales(F, 4, 32)
${more}
logits = com.microsoft.MatMulNBits${inputs} {K: 64, N: 48, block_size: 32${attributes}}
`;
    expect(head(text)).toBeUndefined();
  });
});
