import { describe, expect, it } from 'vitest';
import { findEmbedding } from '../../src/anatomy/embedding.ts';
import { openText } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

function embedding(text: string, head?: { n: number; k: number }) {
  using opened = openText(scratch(), text);
  const found = findEmbedding(opened.model, head);
  if (found === undefined) return undefined;
  const { kind, node, vocabSize, hiddenSize } = found;
  const layout = found.kind === 'float' ? found.layout : found.table.bits;
  return { kind, node: node.label, shape: [vocabSize, hiddenSize], layout };
}

const BEFORE = 'input 0: int64[1, 3]\noutput 1\nweight 2: fp32[48, 32]\n';
const ROWS = { kind: 'float', shape: [48, 32], layout: 'rows' };

describe('the token embedding is found without names', () => {
  it.each([
    ['directly', '1 = Gather(2, 0)'],
    ['behind a Cast of the ids', '3 = Cast(0) {to: 6}\n1 = Gather(2, 3)'],
    [
      'behind a Reshape of the ids',
      'weight 5: int64[1] = list(3)\n3 = Reshape(0, 5)\n1 = Gather(2, 3)',
    ],
    ['as an output of the model', '1 = Gather(2, 0) {axis: 0}'],
    ['behind an Identity', '3 = Identity(2)\n1 = Gather(3, 0)'],
    ['in a Constant node', 'const 3: fp32[48, 32]\n1 = Gather(3, 0)'],
    ['before a scale', '3 = Gather(2, 0)\n1 = Mul(3, 3)'],
  ])('%s', (_, body) => {
    expect(embedding(BEFORE + body)).toMatchObject(ROWS);
  });

  it('mirrored: a Transpose of what the head reads', () => {
    const text = `${BEFORE}3 = Transpose(2) {perm: [1, 0]}\n1 = Gather(3, 0)`;
    expect(embedding(text)).toMatchObject({ shape: [32, 48], layout: 'columns' });
  });

  it('in a body, whose own inputs may be ids', () => {
    const text = `${BEFORE}input c: bool[]
1 = If(c)
  then_branch:
    output t
    t = Gather(2, 0)
  else_branch:
    output e
    e = Gather(2, 0)
`;
    expect(embedding(text)).toMatchObject(ROWS);
  });
});

describe('among several lookups', () => {
  it('positions, caches and segments are none', () => {
    const text = `
input input_ids: int64[1, 3]
input position_ids: int64[1, 3]
input token_type_ids: int64[1, 3]
output y
weight words: fp32[48, 32]
weight positions: fp32[512, 32]
weight types: fp32[64, 32]
weight cos_cache: fp32[4096, 16]
a = Gather(positions, position_ids)
b = Gather(types, token_type_ids)
c = Gather(cos_cache, position_ids)
y = Gather(words, input_ids) @words
`;
    expect(embedding(text)?.node).toBe('words');
  });

  it('one by computed positions is none, however they are computed', () => {
    const text = `
input 0: int64[1, 3]
output y
weight words: fp32[48, 32]
weight positions: fp32[512, 32]
s = Shape(0)
r = Range(s, s, s)
a = Gather(positions, r)
y = Gather(words, 0) @words
`;
    expect(embedding(text)?.node).toBe('words');
  });

  it('the one of the shape of the head wins over a larger one, of the same height or not', () => {
    const text = `
input 0: int64[1, 3]
output y
output z
output u
weight per_layer: fp32[48, 128]
weight words: fp32[48, 32]
weight larger: fp32[64, 512]
z = Gather(per_layer, 0) @per_layer
y = Gather(words, 0) @words
u = Gather(larger, 0) @larger
`;
    expect(embedding(text, { n: 48, k: 32 })?.node).toBe('words');
    expect(embedding(text, { n: 48, k: 16 })?.node).toBe('per_layer');
    expect(embedding(text)?.node).toBe('larger');
  });
});

describe('no embedding is found', () => {
  it.each([
    ['of integers along another axis', '1 = Gather(2, 0) {axis: 1}'],
    ['of one dimension', 'weight 3: fp32[48]\n1 = Gather(3, 0)'],
    ['of a computed table', '3 = Neg(2)\n1 = Gather(3, 0)'],
    ['by constant ids', 'weight 3: int64[1] = list(1)\n1 = Gather(2, 3)'],
    ['of another domain', '1 = custom.Gather(2, 0)'],
    [
      'of a table a caller may replace',
      'input 3: fp32[48, 32]\nweight 3: fp32[48, 32]\n1 = Gather(3, 0)',
    ],
    ['without any lookup', '1 = Neg(0)'],
    [
      'in a function body: its inputs are whatever a caller passes',
      '1 = local.F(0)\nfunction local.F(a) -> b\n  const w: fp32[48, 32]\n  b = Gather(w, a)',
    ],
  ])('%s', (_, body) => {
    expect(embedding(BEFORE + body)).toBeUndefined();
  });
});

describe('a quantized table', () => {
  const TABLE = `
input 0: int64[1, 3]
output y
weight F: fp32[48, 64]
weight Q: uint8[48, 32] = codes(F, 4, 32)
weight R: uint8[48, 64] = codes(F, 8, 32)
weight S: fp32[48, 2] = scales(F, 4, 32)
weight Z: uint8[48, 1] = zero_points(F, 4, 32)
weight B: uint8[48, 2, 16] = codes(F, 4, 32)
weight two: int64[2] = list(48, 32)
`;

  it.each([
    [
      'with every attribute',
      'Q, 0, S, Z',
      'bits: 4, block_size: 32, gather_axis: 0, quantize_axis: 1',
      4,
    ],
    ['with the defaults of ONNX Runtime', 'Q, 0, S', 'block_size: 32', 4],
    [
      'of 8 bits, quantized along the last axis',
      'R, 0, S',
      'bits: 8, block_size: 32, quantize_axis: -1',
      8,
    ],
  ])('is found %s', (_, inputs, attributes, bits) => {
    const text = `${TABLE}y = com.microsoft.GatherBlockQuantized(${inputs}) {${attributes}}`;
    expect(embedding(text)).toMatchObject({ kind: 'quantized', shape: [48, 64], layout: bits });
  });

  it('is found behind the Reshape of a shared table', () => {
    const text = `${TABLE}r = Reshape(B, two)\ny = com.microsoft.GatherBlockQuantized(r, 0, S) {block_size: 32}`;
    expect(embedding(text)).toMatchObject({ kind: 'quantized', shape: [48, 64] });
  });

  it.each([
    ['whose codes have another size', 'Q, 0, S', 'bits: 8, block_size: 32'],
    ['in blocks of the default size, where its scales say otherwise', 'Q, 0, S', 'bits: 4'],
    ['in blocks of no size', 'Q, 0, S', 'block_size: 0'],
    ['in blocks of negative size', 'Q, 0, S', 'block_size: -32'],
    ['of no bits', 'Q, 0, S', 'bits: 0, block_size: 32'],
    ['gathered along its columns', 'Q, 0, S', 'block_size: 32, gather_axis: 1'],
    ['quantized along its columns', 'Q, 0, S', 'block_size: 32, quantize_axis: 0'],
    ['with scales of another shape', 'Q, 0, F', 'block_size: 32'],
    ['with zero points of another shape', 'Q, 0, S, Q', 'block_size: 32'],
  ])('is not understood %s', (_, inputs, attributes) => {
    const text = `${TABLE}y = com.microsoft.GatherBlockQuantized(${inputs}) {${attributes}}`;
    expect(embedding(text)).toBeUndefined();
  });
});
