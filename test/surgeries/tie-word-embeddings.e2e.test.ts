import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  declaredFeeds,
  type Outputs,
  relativeError,
  runModel,
  type WriteModelOptions,
  writeModel,
} from '../support/model-builder.ts';
import { initializerBytes, isTied, runText, type Step } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const V = 1024;
const H = 64;

interface Table {
  readonly bits: 4 | 8;
  readonly type: 'fp32' | 'fp16';
  readonly symmetric: boolean;
  readonly block?: number;
}

const TABLES: readonly Table[] = [
  { bits: 8, type: 'fp32', symmetric: false },
  { bits: 4, type: 'fp32', symmetric: false },
  { bits: 4, type: 'fp16', symmetric: true },
  { bits: 8, type: 'fp16', symmetric: false, block: 64 },
];

/** Declarations of one quantized table: names are prefixed, codes in rows or in blocks, scales flat or not. */
function table(
  name: string,
  { bits, type, symmetric, block = 32 }: Table,
  form: { blocks?: boolean; flat?: boolean } = {},
): string {
  const args = `F, ${bits}, ${block}${symmetric ? ', symmetric' : ''}`;
  const kBlocks = H / block;
  const blob = (block * bits) / 8;
  const packed = Math.ceil((kBlocks * bits) / 8);
  const dims = form.blocks ? `${V}, ${kBlocks}, ${blob}` : `${V}, ${kBlocks * blob}`;
  const flat = (count: number) => (form.flat ? `${V * count}` : `${V}, ${count}`);
  return [
    `weight ${name}Q: uint8[${dims}] = codes(${args})`,
    `weight ${name}S: ${type}[${flat(kBlocks)}] = scales(${args})`,
    symmetric ? '' : `weight ${name}Z: uint8[${flat(packed)}] = zero_points(${args})`,
  ].join('\n');
}

function lookup(name: string, { bits, symmetric, block = 32 }: Table): string {
  const zeroPoints = symmetric ? '' : `, ${name}Z`;
  return `h = com.microsoft.GatherBlockQuantized(${name}Q, ids, ${name}S${zeroPoints}) @embed {bits: ${bits}, block_size: ${block}, gather_axis: 0, quantize_axis: 1}`;
}

function product(name: string, { bits, symmetric, block = 32 }: Table, level: number): string {
  const zeroPoints = symmetric ? '' : `, ${name}Z`;
  return `logits = com.microsoft.MatMulNBits(h, ${name}Q, ${name}S${zeroPoints}) @head {K: ${H}, N: ${V}, bits: ${bits}, block_size: ${block}, accuracy_level: ${level}}`;
}

function interface_(type: string): string {
  return `input ids: int64[batch, seq]\noutput logits: ${type}[batch, seq, ${V}]\nweight F: ${type}[${V}, ${H}] = random(1)\n`;
}

/** Heads over the float table, in every form exporters give them. */
const FLOAT_HEADS: Readonly<Record<string, (type: string) => string>> = {
  'a Transpose of the table': () => 't = Transpose(F) {perm: [1, 0]}\nlogits = MatMul(h, t) @head',
  'a transposed copy': (type) =>
    `weight W: ${type}[${H}, ${V}] = transpose(F)\nlogits = MatMul(h, W) @head`,
  'a plain copy behind a Transpose': (type) =>
    `weight W: ${type}[${V}, ${H}] = copy(F)\nt = Transpose(W)\nlogits = MatMul(h, t) @head`,
  'a transposed copy in a Constant node': (type) =>
    `const W: ${type}[${H}, ${V}] = transpose(F)\nlogits = MatMul(h, W) @head`,
};

async function logits(path: string, feedsOf: string): Promise<Outputs> {
  return runModel(path, await declaredFeeds(feedsOf));
}

function expectSame(actual: Outputs, expected: Outputs): void {
  expect([...actual.keys()]).toEqual([...expected.keys()]);
  for (const [name, tensor] of expected) {
    expect(tensor.data.some((value) => Number(value) !== 0)).toBe(true);
    expect(Buffer.compare(bytes(actual, name), bytes(expected, name)), name).toBe(0);
  }
}

function errorOf(actual: Outputs, expected: Outputs): number {
  const [a, b] = [actual.get('logits'), expected.get('logits')];
  return a === undefined || b === undefined ? Number.POSITIVE_INFINITY : relativeError(a, b);
}

function bytes(outputs: Outputs, name: string): Buffer {
  const data = outputs.get(name)?.data;
  if (data === undefined) throw new Error(`no output ${name}`);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

describe.each(TABLES)(
  'a float head over a $bits-bit table ($type, symmetric: $symmetric)',
  (spec) => {
    const untied = `${interface_(spec.type)}${table('e', spec)}\n${table('h', spec, { blocks: true })}\n${lookup('e', spec)}\n${product('h', spec, 4)}`;

    it.each(Object.keys(FLOAT_HEADS))(
      'that is %s: the same logits as a MatMulNBits of its own',
      async (form) => {
        const text = `${interface_(spec.type)}${table('e', spec)}\n${lookup('e', spec)}\n${FLOAT_HEADS[form]?.(spec.type)}`;
        const { output, declined } = await runText(scratch(), text, ['tie-word-embeddings']);
        expect(declined).toEqual([]);
        expect(isTied(output)).toBe(true);
        const reference = writeModel(scratch('reference'), untied);
        expectSame(await logits(output, reference), await logits(reference, reference));
      },
    );

    it('as a Gemm with transB and a bias', async () => {
      const text = `
input ids: int64[seq]
output logits: ${spec.type}[seq, ${V}]
weight F: ${spec.type}[${V}, ${H}] = random(1)
weight b: ${spec.type}[${V}] = random(2)
${table('e', spec)}
${lookup('e', spec)}
logits = Gemm(h, F, b) @head {transB: 1}
`;
      const { output, input } = await runText(scratch(), text, [
        ['tie-word-embeddings', { accuracyLevel: 0 }],
      ]);
      expect(isTied(output)).toBe(true);
      const [actual, expected] = [await logits(output, input), await logits(input, input)];
      const tolerance = spec.bits === 8 ? 0.01 : 0.15;
      const error = errorOf(actual, expected);
      expect(error).toBeGreaterThan(0);
      expect(error).toBeLessThan(tolerance);
    });
  },
);

describe.each(TABLES)(
  'two quantized copies of $bits bits ($type, symmetric: $symmetric)',
  (spec) => {
    it.each([false, true])('become one, whether or not scales are flat (%s)', async (flat) => {
      const text = `${interface_(spec.type)}${table('e', spec)}\n${table('h', spec, { blocks: true, flat })}\n${lookup('e', spec)}\n${product('h', spec, 4)}`;
      const { output, input, declined } = await runText(scratch(), text, [
        'tie-word-embeddings',
        'remove-unused',
      ]);
      expect(declined).toEqual([]);
      expect(isTied(output)).toBe(true);
      expectSame(await logits(output, input), await logits(input, input));
    });

    it('change nothing when they are one already', async () => {
      const text = `${interface_(spec.type)}${table('e', spec)}\n${lookup('e', spec)}\n${FLOAT_HEADS['a Transpose of the table']?.(spec.type)}`;
      for (const tieStyle of ['range', 'reshape']) {
        const { output } = await runText(scratch(tieStyle), text, [
          ['tie-word-embeddings', { tieStyle }],
        ]);
        const again = await runText(scratch(`${tieStyle}-2`), text, [
          ['tie-word-embeddings', { tieStyle }],
          'tie-word-embeddings',
        ]);
        expect(isTied(output)).toBe(true);
        expect(again.declined).toEqual(['tied already: head and embedding read the same bytes']);
      }
    });

    it('and both tie styles give the same logits', async () => {
      const text = `${interface_(spec.type)}${table('e', spec)}\n${lookup('e', spec)}\n${FLOAT_HEADS['a transposed copy']?.(spec.type)}`;
      const range = await runText(scratch('range'), text, ['tie-word-embeddings']);
      const reshape = await runText(scratch('reshape'), text, [
        ['tie-word-embeddings', { tieStyle: 'reshape' }],
      ]);
      expect(reshape.printed).toContain('= Reshape(eQ');
      expect(range.printed).toContain('= bytes(eQ)');
      expectSame(
        await logits(range.output, range.input),
        await logits(reshape.output, range.input),
      );
    });
  },
);

describe('a head of another width', () => {
  const F = 't = Transpose(F)\nh = Gather(F, ids) @embed\nlogits = MatMul(h, t) @head';

  it.each([
    [4, 8],
    [8, 4],
  ])(
    'of %d bits over an embedding of %d, both made in this run, reads the table',
    async (head, embedding) => {
      const { output, declined, report } = await runText(scratch(), `${interface_('fp32')}${F}`, [
        ['quantize-matmul', { bits: head }],
        ['quantize-embedding', { bits: embedding }],
        'tie-word-embeddings',
      ]);
      expect(declined).toEqual([]);
      expect(isTied(output)).toBe(true);
      expect(report.gateBytesRead).toBe(0);
      expect([...report.tensors].map(({ dims }) => dims.length)).toEqual([2, 2, 2, 3]);
    },
  );

  it('stored with 4 bits ties to an 8-bit embedding made in this run of the table it encodes', async () => {
    const spec = { bits: 4, type: 'fp32', symmetric: false } as const;
    const text = `${interface_('fp32')}${table('h', spec, { blocks: true })}\nh = Gather(F, ids) @embed\n${product('h', spec, 4)}`;
    const { output, declined, report } = await runText(scratch(), text, [
      'quantize-embedding',
      'tie-word-embeddings',
    ]);
    expect(declined).toEqual([]);
    expect(isTied(output)).toBe(true);
    expect(report.gateBytesRead).toBeGreaterThan(V * H * 4);
  });

  it('is declined when both came quantized and no float table is left', async () => {
    const [four, eight] = TABLES.slice(0, 2).reverse() as [Table, Table];
    const text = `${interface_('fp32')}${table('e', eight)}\n${table('h', four, { blocks: true })}\n${lookup('e', eight)}\n${product('h', four, 4)}`;
    const { declined, report } = await runText(scratch(), text, ['tie-word-embeddings']);
    expect(declined).toEqual([
      'head (4 bits, blocks of 32) and embedding (8 bits, blocks of 32) are quantized differently and no float table is left to compare with',
    ]);
    expect(report.changed).toBe(false);
    expect(readdirSync(scratch())).toEqual(['in']);
  });
});

describe.each(TABLES)(
  'the mirror: a float embedding under a $bits-bit head ($type, symmetric: $symmetric)',
  (spec) => {
    const made = `${interface_(spec.type)}${table('e', spec)}\n${table('h', spec, { blocks: true })}\n${lookup('e', spec)}\n${product('h', spec, 4)}`;

    it.each([
      ['plain', 'h = Gather(F, ids) @embed'],
      [
        'behind a Transpose',
        `weight E: ${spec.type}[${H}, ${V}] = transpose(F)\nt = Transpose(E)\nh = Gather(t, ids) @embed`,
      ],
    ])('%s', async (_, gather) => {
      const text = `${interface_(spec.type)}${table('h', spec, { blocks: true })}\n${gather}\n${product('h', spec, 4)}`;
      const { output, declined } = await runText(scratch(), text, ['tie-word-embeddings']);
      expect(declined).toEqual([]);
      expect(isTied(output)).toBe(true);
      const reference = writeModel(scratch('reference'), made);
      expectSame(await logits(output, reference), await logits(reference, reference));
    });

    it('with scales in one dimension, which GatherBlockQuantized does not take', async () => {
      const text = `${interface_(spec.type)}${table('h', spec, { blocks: true, flat: true })}\nh = Gather(F, ids) @embed\n${product('h', spec, 4)}`;
      const { output, declined } = await runText(scratch(), text, ['tie-word-embeddings']);
      expect(declined).toEqual([]);
      expect(isTied(output)).toBe(true);
      const reference = writeModel(scratch('reference'), made);
      expectSame(await logits(output, reference), await logits(reference, reference));
    });

    it('in Constant nodes that stand behind the embedding', async () => {
      const constants = table('h', spec, { blocks: true }).replaceAll('weight', 'const');
      const text = `${interface_(spec.type)}h = Gather(F, ids) @embed\n${constants}\n${product('h', spec, 4)}`;
      const { output, declined } = await runText(scratch(), text, ['tie-word-embeddings']);
      expect(declined).toEqual([]);
      expect(isTied(output)).toBe(true);
      const reference = writeModel(scratch('reference'), made);
      expectSame(await logits(output, reference), await logits(reference, reference));
    });
  },
);

describe('two float copies', () => {
  it.each([
    [
      'transposed',
      'h = Gather(F, ids)',
      `weight W: fp32[${H}, ${V}] = transpose(F)\nlogits = MatMul(h, W)`,
    ],
    [
      'plain, behind a Transpose',
      'h = Gather(F, ids)',
      `weight W: fp32[${V}, ${H}] = copy(F)\nt = Transpose(W)\nlogits = MatMul(h, t)`,
    ],
    [
      'under a mirrored embedding',
      `weight E: fp32[${H}, ${V}] = transpose(F)\nt = Transpose(E)\nh = Gather(t, ids)`,
      `weight W: fp32[${H}, ${V}] = transpose(F)\nlogits = MatMul(h, W)`,
    ],
  ])('%s, are stored once', async (_, embed, head) => {
    const { output, input, declined } = await runText(
      scratch(),
      `${interface_('fp32')}${embed}\n${head}`,
      ['tie-word-embeddings', 'remove-unused'],
    );
    expect(declined).toEqual([]);
    expect(isTied(output)).toBe(true);
    const [actual, expected] = [await logits(output, input), await logits(input, input)];
    expect(errorOf(actual, expected)).toBeLessThan(1e-5);
  });

  it('plain under a Gemm keep the Gemm', async () => {
    const text = `
input ids: int64[seq]
output logits: fp32[seq, ${V}]
weight F: fp32[${V}, ${H}] = random(1)
weight W: fp32[${V}, ${H}] = copy(F)
h = Gather(F, ids)
logits = Gemm(h, W) {transB: 1}
`;
    const { output, input, printed } = await runText(scratch(), text, ['tie-word-embeddings']);
    expect(printed).toContain('logits = Gemm(h, F) {transB: 1}');
    expectSame(await logits(output, input), await logits(input, input));
  });

  it('that differ in one element are declined with its place', async () => {
    const text = `${interface_('fp32')}weight W: fp32[${H}, ${V}] = transpose(F)\nh = Gather(F, ids)\nlogits = MatMul(h, W)`;
    const fill = {
      W: ({ bytes: data }: { bytes: Uint8Array }) => {
        // Element 5 of token 1000, stored [hidden, vocab].
        new DataView(data.buffer).setFloat32((5 * V + 1000) * 4, 7, true);
      },
    };
    const { declined, report } = await runText(scratch(), text, ['tie-word-embeddings'], { fill });
    expect(declined).toEqual([
      `not tied: 1 of ${V * H} compared elements of head and embedding differ, first at token 1000, element 5`,
    ]);
    expect(report.changed).toBe(false);
  });

  it('that hold the same NaN are the same bits', async () => {
    const poison = ({ bytes: data }: { bytes: Uint8Array }) => data.fill(0xff, 0, 4);
    const text = `${interface_('fp32')}weight W: fp32[${V}, ${H}] = copy(F)\nh = Gather(F, ids)\nt = Transpose(W)\nlogits = MatMul(h, t)`;
    const { declined } = await runText(scratch(), text, ['tie-word-embeddings'], {
      fill: { F: poison, W: poison },
    });
    expect(declined).toEqual([]);
  });
});

describe('is declined with numbers', () => {
  const spec = { bits: 8, type: 'fp32', symmetric: false } as const;
  const text = `${interface_('fp32')}${table('e', spec)}\n${lookup('e', spec)}\n${FLOAT_HEADS['a Transpose of the table']?.('fp32')}`;

  async function reasons(
    options: WriteModelOptions,
    source = text,
    steps: Step[] = ['tie-word-embeddings'],
  ) {
    const { declined, report } = await runText(scratch(), source, steps, options);
    expect(report.changed).toBe(false);
    expect(readdirSync(scratch())).toEqual(['in']);
    return declined;
  }

  it('codes that are not the nearest, as GPTQ leaves them', async () => {
    const fill = {
      eQ: ({ bytes: data }: { bytes: Uint8Array }) => {
        for (const at of [3, 70_000 % data.length, 65_000]) {
          data[at] = (data[at] ?? 0) < 128 ? (data[at] ?? 0) + 2 : (data[at] ?? 0) - 2;
        }
      },
    };
    const [reason] = await reasons({ fill });
    expect(reason).toMatch(
      /^not tied: 3 of 65536 elements are not nearest to their code; worst [12]\.\d\d steps at token \d+, element \d+$/,
    );
  });

  it('a NaN in the head', async () => {
    const fill = { F: ({ bytes: data }: { bytes: Uint8Array }) => data.fill(0xff, 400, 404) };
    expect(await reasons({ fill })).toEqual([
      'not tied: 1 of 65536 elements are not nearest to their code; worst Infinity steps at token 1, element 36',
    ]);
  });

  it('a NaN in the scales', async () => {
    const fill = { eS: ({ bytes: data }: { bytes: Uint8Array }) => data.fill(0xff, 0, 4) };
    const [reason] = await reasons({ fill });
    expect(reason).toContain('not tied: 32 of 65536 elements');
  });

  it('another table in the head', async () => {
    const other = text.replace(
      't = Transpose(F)',
      `weight G: fp32[${V}, ${H}] = random(2)\nt = Transpose(G)`,
    );
    const [reason] = await reasons({}, other);
    expect(reason).toMatch(/^not tied: 6\d{4} of 65536 elements/);
  });

  it('two quantized tables that differ', async () => {
    const pair = `${interface_('fp32')}${table('e', spec)}\n${table('h', spec, { blocks: true })}\n${lookup('e', spec)}\n${product('h', spec, 4)}`;
    const flip = ({ bytes: data }: { bytes: Uint8Array }) => {
      data[9] = (data[9] ?? 0) ^ 1;
    };
    expect(await reasons({ fill: { hQ: flip } }, pair)).toEqual([
      'not tied: 1 of 65536 bytes of the codes of head and embedding differ',
    ]);
    expect(await reasons({ fill: { hS: flip } }, pair)).toEqual([
      'not tied: 1 of 8192 bytes of the scales of head and embedding differ',
    ]);
    expect(await reasons({ fill: { hZ: flip } }, pair)).toEqual([
      'not tied: 1 of 2048 bytes of the zero points of head and embedding differ',
    ]);
  });

  it('a table whose shape is not the head’s', async () => {
    const narrow = `
input ids: int64[batch, seq]
output logits: fp32[batch, seq, 512]
weight F: fp32[${V}, ${H}] = random(1)
weight W: fp32[${H}, 512] = random(1)
h = Gather(F, ids)
logits = MatMul(h, W)
`;
    expect(await reasons({}, narrow)).toEqual([
      `the head is [512, ${H}], the embedding [${V}, ${H}]`,
    ]);
  });

  it('an embedding in a body, under a head in the main graph', async () => {
    const body = `
input ids: int64[batch, seq]
input c: bool[]
output logits: fp32[batch, seq, ${V}]
weight F: fp32[${V}, ${H}] = random(1)
weight W: fp32[${H}, ${V}] = transpose(F)
h = If(c)
  then_branch:
    output t
    t = Gather(F, ids)
  else_branch:
    output e
    e = Gather(F, ids)
logits = MatMul(h, W)
`;
    expect(await reasons({}, body)).toEqual(['head and embedding are not both in the main graph']);
  });

  it.each([
    ['rows', `${V}, ${H}`, 'h = Gather(E, ids)\nt = Transpose(E)\nlogits = MatMul(h, t)'],
    ['columns', `${H}, ${V}`, 't = Transpose(E)\nh = Gather(t, ids)\nlogits = MatMul(h, E)'],
  ])('a float table that is tied already, stored in %s', async (_, dims, body) => {
    const tied = `input ids: int64[batch, seq]\noutput logits: fp32[batch, seq, ${V}]\nweight E: fp32[${dims}]\n${body}`;
    expect(await reasons({}, tied)).toEqual([
      'tied already: head and embedding read the same bytes',
    ]);
  });

  it('models without a head or an embedding', async () => {
    expect(await reasons({}, 'input x: fp32[4]\noutput y: fp32[4]\ny = Neg(x)')).toEqual([
      'no output leads back to a MatMul, Gemm or MatMulNBits with constant weight',
    ]);
    const headOnly = `input x: fp32[1, ${H}]\noutput y: fp32[1, ${V}]\nweight W: fp32[${H}, ${V}]\ny = MatMul(x, W) @head`;
    expect(await reasons({}, headOnly)).toEqual([
      'no Gather looks up rows of a constant table by a graph input of token ids',
    ]);
  });
});

it('takes over the codes as they are', async () => {
  const spec = TABLES[1] as Table;
  const text = `${interface_('fp32')}${table('e', spec)}\n${lookup('e', spec)}\n${FLOAT_HEADS['a transposed copy']?.('fp32')}`;
  const { input, output, report } = await runText(scratch(), text, ['tie-word-embeddings']);
  expect(initializerBytes(output, 'eQ_blocks')).toEqual(initializerBytes(input, 'eQ'));
  expect(report.aliases).toBe(1);
});
