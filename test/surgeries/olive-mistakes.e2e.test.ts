/**
 * Cases that Microsoft Olive's passes are known to get wrong (tie by reuse, int8 embedding with sharing, block-wise
 * quantizers), each with what is right. The numbers count them for reference between tests.
 */

import { describe, expect, it } from 'vitest';
import { DType } from '../../src/dtypes.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import { dequantize } from '../../src/kernels/dequantize.ts';
import { decodeFloats } from '../../src/kernels/float-types.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { expectClose, runBoth } from '../support/compare-runs.ts';
import type { WriteModelOptions } from '../support/model-builder.ts';
import {
  initializerBytes,
  isTied,
  runText,
  type Step,
  type TextRun,
} from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const TIE: readonly Step[] = [['tie-word-embeddings', { accuracyLevel: 0 }]];

function run(
  text: string,
  steps: readonly Step[],
  options: WriteModelOptions = {},
): Promise<TextRun> {
  return runText(scratch(), text, steps, options);
}

interface Shape {
  readonly vocab?: number;
  readonly hidden?: number;
  readonly bits?: 4 | 8;
  readonly block?: number;
  readonly table?: string;
  readonly symmetric?: boolean;
  readonly head?: string;
  readonly attributes?: string;
  readonly more?: string;
}

/** A quantized embedding of F under a float head, by default a Transpose of F. */
function reuse(shape: Shape = {}): string {
  const { vocab = 1024, hidden = 64, bits = 4, block = 32, table = 'random(1)' } = shape;
  const kBlocks = hidden / block;
  const args = `F, ${bits}, ${block}${shape.symmetric ? ', symmetric' : ''}`;
  const packed = Math.ceil((kBlocks * bits) / 8);
  return `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, ${vocab}]
${shape.more ?? ''}
weight F: fp32[${vocab}, ${hidden}] = ${table}
weight Q: uint8[${vocab}, ${(hidden * bits) / 8}] = codes(${args})
weight S: fp32[${vocab}, ${kBlocks}] = scales(${args})
${shape.symmetric ? '' : `weight Z: uint8[${vocab}, ${packed}] = zero_points(${args})`}
h = com.microsoft.GatherBlockQuantized(Q, ids, S${shape.symmetric ? '' : ', Z'}) @embed {${shape.attributes ?? `bits: ${bits}, block_size: ${block}`}}
${shape.head ?? 't = Transpose(F) {perm: [1, 0]}\nlogits = MatMul(h, t) @head'}
`;
}

describe('reuse of the embedding by a float head', () => {
  it('olive #1: odd numbers of blocks do not break the zero points', async () => {
    const result = await run(reuse({ hidden: 96 }), TIE);
    expect(result.declined).toEqual([]);
    expect(isTied(result.output)).toBe(true);
    await expectClose(result, 0.15);
  });

  it('olive #2: a width that is no multiple of the block is declined, not a crash', async () => {
    const text = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight F: fp32[1024, 80] = random(1)
weight Q: uint8[1024, 40] = random(2)
weight S: fp32[1024, 3] = random(3)
h = com.microsoft.GatherBlockQuantized(Q, ids, S) @embed {block_size: 32, bits: 4}
t = Transpose(F)
logits = MatMul(h, t) @head
`;
    const { declined, report } = await run(text, TIE);
    expect(declined).toHaveLength(1);
    expect(report.changed).toBe(false);
  });

  it('olive #3: a head that differs only from row 256 on is not tied', async () => {
    const fill = {
      W: ({ bytes }: { bytes: Uint8Array }) => {
        const view = new DataView(bytes.buffer);
        for (let row = 256; row < 1024; row++) view.setFloat32(row * 64 * 4, 9, true);
      },
    };
    const head =
      'weight W: fp32[1024, 64] = copy(F)\nt = Transpose(W)\nlogits = MatMul(h, t) @head';
    const { declined } = await run(reuse({ head, bits: 8 }), TIE, { fill });
    // Of 768 changed elements those with the largest code are clamped: they say nothing.
    expect(declined[0]).toMatch(/^not tied: 7\d\d of 65536 elements are not nearest to their code/);
  });

  it('olive #3: rows of zeros at the beginning prove nothing', async () => {
    const zero = ({ bytes }: { bytes: Uint8Array }) => bytes.fill(0, 0, 256 * 64 * 4);
    const head =
      'weight W: fp32[1024, 64] = random(2)\nt = Transpose(W)\nlogits = MatMul(h, t) @head';
    const zeroCodes = {
      Q: ({ bytes }: { bytes: Uint8Array }) => bytes.fill(0, 0, 256 * 32),
      S: ({ bytes }: { bytes: Uint8Array }) => bytes.fill(0, 0, 256 * 2 * 4),
      Z: ({ bytes }: { bytes: Uint8Array }) => bytes.fill(0, 0, 256),
    };
    const { declined } = await run(reuse({ head }), TIE, {
      fill: { F: zero, W: zero, ...zeroCodes },
    });
    expect(declined[0]).toMatch(/^not tied: \d+ of 65536/);
  });

  it('olive #4: an untied head of tiny weights is not tied', async () => {
    const head =
      'weight W: fp32[1024, 64] = random(2, 0.001)\nt = Transpose(W)\nlogits = MatMul(h, t) @head';
    const { declined } = await run(reuse({ head, table: 'random(1, 0.001)' }), TIE);
    expect(declined[0]).toMatch(/^not tied: \d{5} of 65536/);
  });

  it('olive #4: a head with 20 % of noise is not tied, at 8 bits nor at 4', async () => {
    for (const bits of [4, 8] as const) {
      const noise = ({ bytes }: { bytes: Uint8Array }) => {
        const view = new DataView(bytes.buffer);
        for (let at = 0; at < bytes.length; at += 4) {
          const sign = (at / 4) % 2 === 0 ? 1.2 : 0.8;
          view.setFloat32(at, view.getFloat32(at, true) * sign, true);
        }
      };
      const head =
        'weight W: fp32[1024, 64] = copy(F)\nt = Transpose(W)\nlogits = MatMul(h, t) @head';
      const { declined } = await runText(scratch(`${bits}`), reuse({ head, bits }), TIE, {
        fill: { W: noise },
      });
      expect(declined[0]).toMatch(/^not tied: \d{5} of 65536/);
    }
  });

  it('olive #4: tiny weights that are tied are tied', async () => {
    const result = await run(reuse({ table: 'random(1, 0.00001)' }), TIE);
    expect(isTied(result.output)).toBe(true);
    await expectClose(result, 0.15);
  });

  it('olive #5: the sign of the scales does not matter', async () => {
    const result = await run(reuse({ symmetric: true }), TIE);
    const scales = decodeFloats(DType.FLOAT, initializerBytes(result.output, 'S'));
    expect(scales.some((scale) => scale < 0)).toBe(true);
    expect(scales.some((scale) => scale > 0)).toBe(true);
    expect(isTied(result.output)).toBe(true);
    await expectClose(result, 0.15);
  });

  it('olive #6: a square table is compared the way its Transpose says', async () => {
    const square = { vocab: 64, hidden: 64, bits: 8 } as const;
    // 64 x 64 codes and scales: the zero points alone would be too small to be stored outside.
    const tied = await runText(
      scratch('tied'),
      reuse({ ...square, symmetric: true, block: 16 }),
      TIE,
    );
    expect(tied.declined).toEqual([]);
    expect(isTied(tied.output)).toBe(true);
    const head = 'logits = MatMul(h, F) @head';
    const untied = await runText(
      scratch('untied'),
      reuse({ ...square, symmetric: true, block: 16, head }),
      TIE,
    );
    expect(untied.declined[0]).toMatch(/^not tied: \d{4} of 4096/);
  });

  it('olive #7: a Transpose whose result is an output stays', async () => {
    const result = await run(reuse({ more: 'output t: fp32[64, 1024]' }), [
      ...TIE,
      'remove-unused',
    ]);
    expect(isTied(result.output)).toBe(true);
    expect(result.printed).toContain('t = Transpose(F)');
    await expectClose(result, 0.15);
  });

  it('olive #8: an embedding of 8 bits is reused, and attributes left out have the defaults', async () => {
    const eight = await runText(scratch('8'), reuse({ bits: 8 }), TIE);
    expect(isTied(eight.output)).toBe(true);
    await expectClose(eight, 0.01);
    const defaults = await runText(
      scratch('defaults'),
      reuse({ hidden: 256, block: 128, attributes: 'gather_axis: 0' }),
      TIE,
    );
    expect(defaults.declined).toEqual([]);
    expect(isTied(defaults.output)).toBe(true);
    await expectClose(defaults, 0.15);
  });

  it('olive #9: a value named like a node, and a body with equal names, lead nowhere else', async () => {
    const text = reuse({
      more: 'input c: bool[]\noutput z\nweight head: fp32[64, 64] = random(9)',
      head: `t = Transpose(F)
embed = MatMul(h, head) @h
z = If(c) @logits
  then_branch:
    output b
    b = MatMul(h, head) @head
  else_branch:
    output e
    e = Identity(embed)
logits = MatMul(h, t) @head`,
    });
    const result = await run(text, TIE);
    expect(result.printed).toContain('b = MatMul(h, head) @head');
    expect(isTied(result.output)).toBe(true);
    await expectClose(result, 0.15);
  });

  it('olive #10: scales of another type than the activation are declined', async () => {
    const text = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight F: fp16[1024, 64] = random(1)
weight W: fp32[64, 1024] = transpose(F)
weight Q: uint8[1024, 64] = codes(F, 8, 32)
weight S: fp16[1024, 2] = scales(F, 8, 32)
g = com.microsoft.GatherBlockQuantized(Q, ids, S) @embed {bits: 8, block_size: 32}
h = Cast(g) {to: 1}
logits = MatMul(h, W) @head
`;
    const { declined } = await run(text, TIE);
    expect(declined).toEqual(["the head computes in fp32, the table's scales are fp16"]);
  });

  it('olive #11: outputs keep their order, unused inputs stay, dead chains go', async () => {
    const text = reuse({
      more: 'output first: fp32[batch, seq, 64]\ninput attention_mask: int64[batch, seq]',
      head: `weight W: fp32[1024, 64] = copy(F)
first = Neg(h)
i = Identity(W)
t = Transpose(i)
u = Identity(t)
logits = MatMul(h, u) @head`,
    })
      .replace('output logits', 'output z')
      .replace('output first', 'output logits: fp32[batch, seq, 1024]\noutput first')
      .replace('output z: fp32[batch, seq, 1024]\n', '');
    const result = await run(text, TIE);
    expect(isTied(result.output)).toBe(true);
    const { before, after } = await runBoth(result.input, result.output);
    expect([...after.keys()]).toEqual(['logits', 'first']);
    expect([...before.keys()]).toEqual(['logits', 'first']);
    expect(result.printed).toContain('input attention_mask: int64[batch, seq]');
    for (const gone of ['Identity', 'Transpose', 'weight W']) {
      expect(result.printed).not.toContain(gone);
    }
  });

  it('olive #12: provenance is enough: a head of the same float table is not read at all', async () => {
    const text = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 1024]
weight F: fp32[1024, 64] = random(1)
h = Gather(F, ids) @embed
t = Transpose(F)
logits = MatMul(h, t) @head
`;
    const result = await run(text, [['quantize-embedding', { bits: 4 }], ...TIE]);
    expect(isTied(result.output)).toBe(true);
    expect(result.report.gateBytesRead).toBe(0);
    expect(result.printed).not.toContain('weight F:');
  });
});

/** A float embedding of E, and whatever else `more` says. */
function lookup(more: string, table = 'fp32[1024, 64] = random(1)'): string {
  return `
input ids: int64[batch, seq]
weight E: ${table}
${more}
`;
}

describe('quantized embedding and its sharing', () => {
  it('olive #13: an untied quantized head stays', async () => {
    const text = lookup(`output logits: fp32[batch, seq, 1024]
weight W: fp32[64, 1024] = random(2)
h = Gather(E, ids) @model/embed_tokens/Gather
logits = MatMul(h, W) @lm_head/MatMul`);
    const result = await run(text, [
      ['quantize-matmul', { bits: 8 }],
      'quantize-embedding',
      'tie-word-embeddings',
    ]);
    expect(result.declined[0]).toMatch(/^not tied: \d{5} of 65536 compared elements/);
    await expectClose(result, 0.03);
  });

  it('olive #14: a head of another shape stays, a bias is kept, g_idx is declined', async () => {
    const part = (extra: string, inputs: string) =>
      lookup(`output logits: fp32[batch, seq, 1024]
weight b: fp32[1024] = random(5)
${extra}
weight Q: uint8[1024, 2, 32] = codes(E, 8, 32)
weight S: fp32[1024, 2] = scales(E, 8, 32)
weight Z: uint8[1024, 2] = zero_points(E, 8, 32)
h = Gather(E, ids)
logits = com.microsoft.MatMulNBits(h, Q, S, Z${inputs}) @head {K: 64, N: 1024, bits: 8, block_size: 32}`);
    const bias = await runText(scratch('bias'), part('', ', , b'), ['quantize-embedding', ...TIE]);
    expect(isTied(bias.output)).toBe(true);
    expect(bias.printed).toMatch(/MatMulNBits\(h, \w+, \w+, \w+, , b\)/);
    await expectClose(bias, 0.01);
    const ordered = await runText(scratch('g'), part('weight g: int32[64] = fill(0)', ', g'), TIE);
    expect(ordered.declined).toHaveLength(1);
    expect(ordered.report.changed).toBe(false);
  });

  it('olive #15: logits stay where they are among the outputs', async () => {
    const text = lookup(`output logits: fp32[batch, seq, 1024]
output present.0.key: fp32[batch, seq, 64]
h = Gather(E, ids)
present.0.key = Neg(h)
t = Transpose(E)
logits = MatMul(h, t)`);
    const result = await run(text, ['quantize-embedding', 'tie-word-embeddings', 'remove-unused']);
    const { after } = await runBoth(result.input, result.output);
    expect([...after.keys()]).toEqual(['logits', 'present.0.key']);
    expect(isTied(result.output)).toBe(true);
  });

  it('olive #16: attributes left out mean 4 bits in blocks of 128, not 8 in blocks of 32', async () => {
    const text = reuse({
      hidden: 256,
      block: 128,
      attributes: 'quantize_axis: 1',
      symmetric: true,
    });
    const result = await run(text, TIE);
    expect(result.printed).toMatch(/MatMulNBits\(.*bits: 4, block_size: 128/);
    await expectClose(result, 0.15);
  });

  it('olive #17: names mean nothing: none, misleading ones, and several heads', async () => {
    const text = `
input 0: int64[batch, seq]
output 1: fp32[batch, seq, 1024]
output 2: fp32[batch, seq, 32]
weight 3: fp32[1024, 64] = random(1)
weight lm_head: fp32[64, 32] = random(2)
weight embed_tokens_per_layer: fp32[1024, 256] = random(3)
weight 4: fp32[256, 64] = random(4)
5 = Gather(embed_tokens_per_layer, 0) @embed_tokens
6 = MatMul(5, 4) @lm_head
7 = Gather(3, 0)
8 = Add(6, 7)
2 = MatMul(8, lm_head)
9 = Transpose(3)
1 = MatMul(8, 9)
`;
    const result = await run(text, ['quantize-embedding', ...TIE]);
    expect(result.report.steps[0]?.changes.map(({ node }) => node)).toEqual(['Gather → 7']);
    expect(result.report.steps[1]?.changes.map(({ node }) => node)).toEqual(['MatMul → 1']);
    expect(isTied(result.output)).toBe(true);
    await expectClose(result, 0.01);
  });

  it('olive #18: a lookup that is an output of the model is quantized all the same', async () => {
    const result = await run(
      lookup('output inputs_embeds: fp32[batch, seq, 64]\ninputs_embeds = Gather(E, ids)'),
      ['quantize-embedding'],
    );
    expect(result.report.changed).toBe(true);
    await expectClose(result, 0.005);
  });

  it('olive #19: a lookup along another axis is none', async () => {
    const { declined, report } = await run(
      lookup(
        'output y: fp32[1024, batch, seq]\ny = Gather(E, ids) {axis: 1}',
        'fp32[1024, 512] = random(1)',
      ),
      ['quantize-embedding'],
    );
    expect(declined).toEqual([
      'no Gather looks up rows of a constant table by a graph input of token ids',
    ]);
    expect(report.changed).toBe(false);
  });

  it('olive #20: a float table that others still read stays, and the report says for whom', async () => {
    const { report, printed } = await run(
      lookup(`output y: fp32[batch, seq, 64]
output z: fp32[1024, 64]
z = Neg(E) @other
y = Gather(E, ids) @embed`),
      ['quantize-embedding'],
    );
    expect(report.steps[0]?.changes).toEqual([{ node: 'embed', what: '8-bit table [1024, 64]' }]);
    expect(report.warnings).toEqual(['"E" is stored as float as well: other reads it']);
    expect(printed).toContain('weight E: fp32');
  });

  it('olive #21: running again, or with taken names, collides with nothing', async () => {
    const text = lookup(`output y: fp32[batch, seq, 64]
output z: fp32[batch, seq, 64]
output E_scales: fp32[batch, seq, 64]
weight E_Q8: fp32[1024, 64] = random(2)
y = Gather(E, ids) @embed
z = Gather(E_Q8, ids) @embed_Q8
E_scales = Neg(y)`);
    const result = await run(text, ['quantize-embedding', 'quantize-embedding']);
    expect(result.report.steps.map(({ changes }) => changes.length)).toEqual([1, 0]);
    for (const name of ['E_Q8_1: uint8', 'E_scales_1: fp32', '@embed_Q8_1 ']) {
      expect(result.printed).toContain(name);
    }
    await expectClose(result, 0.005);
  });
});

describe('two float copies', () => {
  it('olive #22: heads without "MatMul" in their names, or without a name, tie', async () => {
    for (const [directory, name] of [
      ['dynamo', ' @node_linear_5'],
      ['none', ''],
    ] as const) {
      const text = lookup(`output logits: fp32[batch, seq, 1024]
weight W: fp32[64, 1024] = transpose(E)
h = Gather(E, ids)
logits = MatMul(h, W)${name}`);
      const result = await runText(scratch(directory), text, ['tie-word-embeddings']);
      expect(isTied(result.output)).toBe(true);
      await expectClose(result, 1e-5);
    }
  });
});

describe('two quantized tables', () => {
  it('olive #25: the unused half of the last zero point is not compared', async () => {
    const pair = reuse({
      hidden: 96,
      head: `weight R: uint8[1024, 3, 16] = codes(F, 4, 32)
weight T: fp32[1024, 3] = scales(F, 4, 32)
weight Y: uint8[1024, 2] = zero_points(F, 4, 32)
logits = com.microsoft.MatMulNBits(h, R, T, Y) @head {K: 96, N: 1024, bits: 4, block_size: 32}`,
    });
    const pad = (mask: number) => ({
      Y: ({ bytes }: { bytes: Uint8Array }) => {
        for (let at = 1; at < bytes.length; at += 2) bytes[at] = (bytes[at] ?? 0) ^ mask;
      },
    });
    const same = await runText(scratch('same'), pair, TIE, { fill: pad(0x80) });
    expect(same.declined).toEqual([]);
    expect(isTied(same.output)).toBe(true);
    await expectClose(same, 1e-6);
    const other = await runText(scratch('other'), pair, TIE, { fill: pad(0x01) });
    expect(other.declined).toEqual([
      'not tied: 1024 of 2048 bytes of the zero points of head and embedding differ',
    ]);
  });
});

describe('block-wise quantization', () => {
  it('olive #28: bf16 weights get scales; fp64 weights are declined', async () => {
    const text = (type: string) => `
input x: ${type}[rows, 64]
output y: ${type}[rows, 64]
weight W: ${type}[64, 64] = random(1)
y = MatMul(x, W) @layer
`;
    const result = await runText(scratch('bf16'), text('bf16'), [['quantize-matmul', { bits: 8 }]]);
    const part = (name: string) => initializerBytes(result.output, `W_${name}`);
    const values = dequantize(
      { type: DType.BFLOAT16, bits: 8, blockSize: 32, n: 64, k: 64 },
      { codes: part('Q8'), scales: part('scales'), zeroPoints: part('zero_points') },
    );
    const wanted = decodeFloats(DType.BFLOAT16, initializerBytes(result.input, 'W'));
    for (let n = 0; n < 64; n++) {
      for (let k = 0; k < 64; k++) {
        expect(values[n * 64 + k]).toBeCloseTo(wanted[k * 64 + n] ?? 0, 1);
      }
    }
    const double = await runText(scratch('fp64'), text('fp64'), ['quantize-matmul']);
    expect(double.declined).toEqual(['its weight is fp64, not fp32, fp16 or bf16']);
    expect(double.report.changed).toBe(false);
  });

  it('olive #30: tables of integers, of one dimension, of odd widths and of positions stay', async () => {
    for (const [directory, body, reason] of [
      ['int64', 'weight T: int64[1024, 64] = fill(3)\ny = Gather(T, ids)', 'its table is int64'],
      ['flat', 'weight T: fp32[1024] = random(1)\ny = Gather(T, ids)', 'no Gather looks up rows'],
      ['odd', 'weight T: fp32[1024, 65] = random(1)\ny = Gather(T, ids)', 'its width 65'],
      [
        'positions',
        'input position_ids: int64[batch, seq]\nweight T: fp32[1024, 64] = random(1)\ny = Gather(T, position_ids)',
        'no Gather looks up rows',
      ],
    ] as const) {
      const text = `input ids: int64[batch, seq]\noutput y\n${body}\n`;
      const { declined, report } = await runText(scratch(directory), text, [
        ['quantize-embedding', { bits: 4 }],
      ]);
      expect(declined).toHaveLength(1);
      expect(declined[0]).toContain(reason);
      expect(report.changed).toBe(false);
    }
  });

  it('olive #32: one weight for a lookup and a product, and for two widths, gets tables of its own', async () => {
    const text = lookup(`output y: fp32[batch, seq, 1024]
output z: fp32[batch, seq, 1024]
h = Gather(E, ids) @embed
t = Transpose(E)
y = MatMul(h, t) @wide
z = MatMul(h, t) @narrow`);
    const result = await run(text, [
      ['quantize-matmul', { bits: 8, include: ['wide'] }],
      ['quantize-matmul', { bits: 4, include: ['narrow'], blockSize: 64 }],
      ['quantize-embedding', { bits: 4 }],
    ]);
    expect(result.declined).toEqual([]);
    expect(result.printed.match(/^weight /gm)).toHaveLength(9);
    await expectClose(result, 0.2);
  });

  it('olive #32: one weight for several products of one width is stored once', async () => {
    const text = lookup(`output y: fp32[batch, seq, 1024]
output z: fp32[batch, seq, 1024]
h = Gather(E, ids) @embed
t = Transpose(E)
u = Transpose(E)
y = MatMul(h, t)
z = MatMul(h, u)`);
    const result = await run(text, ['quantize-matmul', ['quantize-embedding', { bits: 4 }]]);
    expect(result.report.aliases).toBe(3);
    await expectClose(result, 0.25);
  });

  it('olive #33: names of the model are not taken', async () => {
    const taken: Record<string, readonly number[]> = {
      W_Q4: [2],
      W_scales: [3],
      W_zero_points: [4],
    };
    const text = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
output layer_Q4: fp32[rows, 64]
weight W: fp32[64, 64] = random(1)
y = MatMul(x, W) @layer
layer_Q4 = Sum(y, W_Q4, W_scales, W_zero_points)
`;
    const result = await run(text, ['quantize-matmul'], {
      edit: (_, graph: onnx.IGraphProto) => {
        for (const [name, [value]] of Object.entries(taken)) {
          graph.initializer?.push({ name, dataType: 1, dims: [1], floatData: [value ?? 0] });
        }
      },
    });
    using opened = openModel(result.output);
    const names = [...opened.model.graph.initializers.keys()];
    expect(names).toEqual([...Object.keys(taken), 'W_Q4_1', 'W_scales_1', 'W_zero_points_1']);
    await expectClose(result, 0.15);
  });
});
