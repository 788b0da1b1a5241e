import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../src/external-data/open-model.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { cli } from '../support/cli.ts';
import { expectClose } from '../support/compare-runs.ts';
import { type WriteModelOptions, writeModel } from '../support/model-builder.ts';
import { isTied, runSteps, runText, type Step } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

let runs = 0;

function run(text: string, step: Step | readonly Step[], options: WriteModelOptions = {}) {
  const steps = (typeof step !== 'string' && Array.isArray(step[0]) ? step : [step]) as Step[];
  return runText(scratch(`${runs++}`), text, steps, options);
}

/** A MatMulNBits of 64 outputs and 128 inputs, in blocks of 32; `change` breaks it. */
function product(change: (text: string) => string = (text) => text, bits = 4): string {
  return change(`
ir 10
opset 21
opset com.microsoft 1
input x: fp32[rows, 128]
output y: fp32[rows, 64]
weight W: fp32[64, 128] = random(1)
weight Q: uint8[64, 4, ${bits * 4}] = codes(W, ${bits}, 32)
weight S: fp32[64, 4] = scales(W, ${bits}, 32)
weight Z: uint8[64, ${bits / 2}] = zero_points(W, ${bits}, 32)
y = com.microsoft.MatMulNBits(x, Q, S, Z) @node {K: 128, N: 64, bits: ${bits}, block_size: 32}
`);
}

describe('matmul-nbits-to-qdq declines', () => {
  const reasons = async (text: string, options = {}, how: WriteModelOptions = {}) => {
    const { declined, report } = await run(text, ['matmul-nbits-to-qdq', options], how);
    expect(report.changed).toBe(false);
    return declined;
  };

  it('operator sets and IR versions that lack blocks or types', async () => {
    expect(await reasons(product((text) => text.replace('opset 21', 'opset 20')))).toEqual([
      'DequantizeLinear has blocks of 4-bit codes from operator set 21 on, here it is 20',
    ]);
    expect(await reasons(product((text) => text.replace('ir 10', 'ir 9')))).toEqual([
      'uint4 came with IR version 10, the model has 9; set-ir-version raises it',
    ]);
    const two = product((text) =>
      text
        .replaceAll('bits: 4', 'bits: 2')
        .replace(/weight Q.*/, 'weight Q: uint8[64, 4, 8] = noise(1)')
        .replace(/weight Z.*/, 'weight Z: uint8[64, 1] = noise(1)'),
    );
    expect(await reasons(two)).toEqual([
      'DequantizeLinear has blocks of 2-bit codes from operator set 25 on, here it is 21',
    ]);
  });

  it('what MatMulNBits can do and it cannot', async () => {
    const tail = product((text) => text.replaceAll('128]', '120]').replace('K: 128', 'K: 120'));
    expect(await reasons(tail)).toEqual(['its 120 inputs are not whole blocks of 32']);
    const reordered = product((text) =>
      text.replace('Q, S, Z)', 'Q, S, Z, g)').replace('y =', 'weight g: int32[128] = fill(0)\ny ='),
    );
    expect(await reasons(reordered)).toEqual(['it reorders its weight by g_idx']);
    const float = product((text) => text.replace(/weight Z.*/, 'weight Z: fp32[64, 4] = fill(8)'));
    expect(await reasons(float)).toEqual(['its zero points are not packed uint8']);
  });

  it('odd shapes in the layout in which their codes would share bytes', async () => {
    const oddOutputs = product((text) => text.replaceAll('64', '63'));
    expect(await reasons(oddOutputs, { layout: 'columns' })).toEqual([
      'its 63 outputs do not fill whole bytes with codes of 4 bits; layout=rows can store them',
    ]);
    const oddBlocks = product((text) =>
      text
        .replaceAll('128', '96')
        .replaceAll('[64, 4', '[64, 3')
        .replace('Z: uint8[64, 2]', 'Z: uint8[64, 2]'),
    );
    expect(await reasons(oddBlocks, { layout: 'rows' })).toEqual([
      'its 3 zero points of an output do not fill whole bytes; layout=columns can store them',
    ]);
    const both = oddBlocks.replaceAll('64', '63');
    expect(await reasons(both)).toEqual([
      'its 63 outputs do not fill whole bytes with codes of 4 bits; layout=rows can store them',
    ]);
    await expectClose(await run(oddOutputs, 'matmul-nbits-to-qdq'), 1e-4);
    await expectClose(await run(oddBlocks, 'matmul-nbits-to-qdq'), 0.02);
  });

  it('what is kept in typed fields', async () => {
    const typed = await reasons(
      product(),
      {},
      {
        edit: (_, graph) => {
          const tensor = graph.initializer?.find(({ name }) => name === 'Z');
          Object.assign(tensor ?? {}, { int32Data: Array<number>(128).fill(7), rawData: null });
        },
      },
    );
    expect(typed).toEqual(['its zero points: kept in typed protobuf fields']);
  });
});

describe('qdq-to-matmul-nbits declines', () => {
  const qdq = (
    codes: string,
    scales: string,
    rest = '',
    attributes = 'axis: 0, block_size: 32',
  ) => `
ir 13
opset 25
input x: fp32[rows, 64]
output y: fp32[rows, 64]
weight Q: ${codes} = noise(1)
weight S: ${scales} = random(2)
w = DequantizeLinear(Q, S${rest === '' ? '' : ', Z'}) {${attributes}}
${rest === '' ? '' : `weight Z: ${rest} = noise(3)`}
y = MatMul(x, w) @node
`;
  const reasons = async (text: string) => {
    const { declined, report } = await run(text, 'qdq-to-matmul-nbits');
    expect(report.changed).toBe(false);
    return declined;
  };

  it.each([
    [
      qdq('int4[64, 64]', 'fp32[64, 2]', '', 'axis: 1, block_size: 32'),
      'its blocks do not lie along the inputs',
    ],
    [qdq('int8[64, 64]', 'fp32[64]', '', 'axis: 1'), 'its scales are not for blocks'],
    [
      qdq('uint4[64, 64]', 'fp32[2, 64]'),
      'its codes have neither sign nor zero point, and MatMulNBits would take 8 for it',
    ],
    [
      qdq('int4[64, 64]', 'fp32[8, 64]', '', 'axis: 0, block_size: 8'),
      'it has blocks of 8; ONNX Runtime takes 16, 32, 64, 128, 256',
    ],
    [
      qdq('int4[64, 64]', 'fp32[2, 64]', 'int8[2, 64]'),
      'its zero points are not [2, 64] of the type of its codes',
    ],
    [
      qdq('int4[64, 64]', 'fp32[2, 64]', 'int4[2, 63]'),
      'its zero points are not [2, 64] of the type of its codes',
    ],
    [qdq('int4[64, 64]', 'fp32[3, 64]'), 'its scales are not [2, 64]'],
    [
      qdq('int4[64, 64]', 'fp32[2, 64]', '', 'axis: 0, block_size: 32, output_dtype: 10'),
      'it is dequantized to another type than that of its scales',
    ],
    [
      qdq('int4[64, 63]', 'fp32[2, 63]'),
      'its 63 outputs do not fill whole bytes with codes of 4 bits',
    ],
    [qdq('int4[60, 64]', 'fp32[2, 64]'), 'its 60 inputs are not whole blocks of 32'],
    [
      qdq('int16[64, 64]'.replace('int16', 'int32'), 'fp32[2, 64]'),
      'its codes are no matrix of integers of 2, 4 or 8 bits',
    ],
  ])('%#', async (text, reason) => {
    expect(await reasons(text)).toEqual([reason]);
  });

  it('Gemm that is more than a product and a sum', async () => {
    const gemm = qdq('int4[64, 64]', 'fp32[2, 64]').replace(
      'MatMul(x, w) @node',
      'Gemm(x, w) @node {alpha: 2.0}',
    );
    expect(await reasons(gemm)).toEqual(['Gemm with alpha 2']);
  });

  it('says nothing of products that are not quantized, and of quantized activations', async () => {
    const text = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
weight s: fp32[] = fill(0.1)
weight z: uint8[] = fill(128)
weight W: fp32[64, 64] = random(1)
q = QuantizeLinear(x, s, z)
d = DequantizeLinear(q, s, z)
v = MatMul(W, d)
y = MatMul(x, v)
`;
    expect(await reasons(text)).toEqual([]);
  });
});

describe('in the body of a function', () => {
  const text = `
input x: fp32[4, 64]
output y
y = local.Layer(x)
function local.Layer(x) -> y
  const q_Q4: uint8[64, 2, 16] = noise(1)
  const s: fp32[64, 2] = random(2)
  y = com.microsoft.MatMulNBits(x, q_Q4, s) @inner {K: 64, N: 64, bits: 4, block_size: 32}
`;
  const importTo = (version: number) => (proto: onnx.IModelProto) => {
    const imports = proto.functions?.[0]?.opsetImport ?? [];
    imports.push({ domain: 'com.microsoft', version: 1 });
    for (const entry of imports) if (!entry.domain) entry.version = version;
  };

  it('its constants are turned, there and back', async () => {
    const there = await run(text, 'matmul-nbits-to-qdq', { edit: importTo(21) });
    expect(there.printed).toContain('const q_DQ_Q4: int4[64, 64]');
    await expectClose(there, 0.02);
    const back = await runSteps(there.output, scratch('function'), ['qdq-to-matmul-nbits']);
    expect(back.printed).toContain('const q_Q4: uint8[64, 2, 16]');
    await expectClose(back, 0.02);
  });

  it('its own operator set counts', async () => {
    const { declined } = await run(text, 'matmul-nbits-to-qdq', { edit: importTo(20) });
    expect(declined).toEqual([
      'DequantizeLinear has blocks of 4-bit codes from operator set 21 on, here it is 20',
    ]);
  });
});

describe('codes of two bits', () => {
  it.each(['columns', 'rows'])('in %s', async (layout) => {
    const two = product((text) =>
      text
        .replace('ir 10', 'ir 13')
        .replace('opset 21', 'opset 25')
        .replaceAll('bits: 4', 'bits: 2')
        .replace(/weight Q.*/, 'weight Q: uint8[64, 4, 8] = noise(1)')
        .replace(/weight Z.*/, 'weight Z: uint8[64, 1] = noise(2)'),
    );
    const there = await run(two, ['matmul-nbits-to-qdq', { layout }]);
    expect(there.printed).toContain('uint2[');
    await expectClose(there, 0.02);
  });
});

describe('in one run with other surgeries', () => {
  const text = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
weight W: fp32[64, 64] = random(1)
y = MatMul(x, W) @node
`;

  it('codes that are being made keep their layout, which is told', async () => {
    const made = await run(text, [
      ['quantize-matmul', { bits: 8 }],
      ['matmul-nbits-to-qdq', {}],
    ]);
    expect(made.report.steps[1]).toMatchObject({
      changes: [{ node: 'node_Q8', what: 'DequantizeLinear of uint8 [64, 64]' }],
      warnings: [expect.stringContaining('ONNX Runtime does not fuse')],
    });
    expect(made.printed).toContain('axis: 1');
    await expectClose(made, 0.01);
  });

  it('and in columns they are for the next run', async () => {
    const made = await run(text, [
      ['quantize-matmul', { bits: 4 }],
      ['matmul-nbits-to-qdq', { layout: 'columns' }],
    ]);
    expect(made.declined).toEqual([
      'its codes: being made in this run (quantize), to be turned in the next',
    ]);
  });
});

describe('a tied table', () => {
  const tied = `
input ids: int64[rows]
output logits: fp32[rows, 512]
weight E: fp32[512, 64] = random(1)
weight Q: uint8[512, 2, 16] = codes(E, 4, 32)
weight Q2: uint8[512, 32] = codes(E, 4, 32)
weight S: fp32[512, 2] = scales(E, 4, 32)
weight Z: uint8[512, 1] = zero_points(E, 4, 32)
h = com.microsoft.GatherBlockQuantized(Q2, ids, S, Z) {bits: 4, block_size: 32, gather_axis: 0, quantize_axis: 1}
logits = com.microsoft.MatMulNBits(h, Q, S, Z) @head {K: 64, N: 512, bits: 4, block_size: 32}
`;

  it('is stored once more in columns, which is told, and once in rows', async () => {
    const source = await run(tied, ['dedupe-initializers', { shapes: 'any' }]);
    expect(isTied(source.output)).toBe(true);
    const rows = await runSteps(source.output, scratch('rows'), [
      ['matmul-nbits-to-qdq', { layout: 'rows' }],
    ]);
    const columns = await runSteps(source.output, scratch('columns'), ['matmul-nbits-to-qdq']);
    const dataLength = ({ report }: typeof rows) => report.output.files[1]?.byteLength ?? 0;
    expect(rows.report.steps[0]?.warnings).toHaveLength(1);
    expect(columns.report.steps[0]?.warnings).toEqual([
      '"Q2" keeps the bytes that "Q_DQ_Q4" has in another layout: both are stored',
    ]);
    expect(dataLength(columns)).toBeGreaterThanOrEqual(dataLength(rows) + 512 * 32);
    await expectClose(rows, 1e-4);
    await expectClose(columns, 0.02);
  });
});

it('counts codes as weights, and scales not', async () => {
  const there = await run(product(), 'matmul-nbits-to-qdq');
  const back = await runSteps(there.output, scratch('weights'), ['qdq-to-matmul-nbits']);
  // The float weight that nothing reads is one, too.
  expect([there.report.weights, back.report.weights]).toEqual([2 * 64 * 128, 2 * 64 * 128]);
});

it('runs from the command line, there and back', () => {
  const path = writeModel(scratch('cli'), product());
  const qdq = join(scratch('cli'), 'qdq');
  const there = cli(['apply', path, '-o', qdq, '--surgery', 'matmul-nbits-to-qdq:include=n*']);
  expect(there.stderr).toBe('matmul-nbits-to-qdq: node: DequantizeLinear of uint4 [128, 64]\n');
  expect(there.status).toBe(0);
  const again = cli([
    'apply',
    qdq,
    '-o',
    join(scratch('cli'), 'x'),
    '--surgery',
    'matmul-nbits-to-qdq',
  ]);
  expect(again.status).toBe(1);
  const nbits = join(scratch('cli'), 'nbits');
  const back = cli(['apply', qdq, '-o', nbits, '--surgery', 'qdq-to-matmul-nbits']);
  expect(back.stderr).toBe(
    'qdq-to-matmul-nbits: node_matmul_Q4: MatMulNBits of 4 bits [64, 128]\n',
  );
  using opened = openModel(join(nbits, 'model.onnx'));
  expect([...opened.model.nodes()].map(({ name, opType }) => [name, opType])).toEqual([
    ['node_Q4', 'MatMulNBits'],
  ]);
});
