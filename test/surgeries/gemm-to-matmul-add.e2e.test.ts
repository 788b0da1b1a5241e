import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../src/external-data/open-model.ts';
import { cli } from '../support/cli.ts';
import { expectClose } from '../support/compare-runs.ts';
import { type WriteModelOptions, writeModel } from '../support/model-builder.ts';
import { isTied, runText, type TextRun } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

function rewrite(text: string, options: WriteModelOptions = {}): Promise<TextRun> {
  return runText(scratch(), text, ['gemm-to-matmul-add'], options);
}

function operators(path: string): string[] {
  using opened = openModel(path);
  return [...opened.model.nodes()].map(({ opType }) => opType);
}

/** A Gemm of 3 x 5 by 5 x 7 with a bias of a shape, its operands transposed or not. */
function gemm(transA: number, transB: number, bias: string | undefined, type = 'fp32'): string {
  return `
input x: ${type}[${transA ? '5, 3' : '3, 5'}]
output y: ${type}[3, 7]
weight W: ${type}[${transB ? '7, 5' : '5, 7'}] = random(1)
${bias === undefined ? '' : `weight C: ${type}[${bias}] = random(2)`}
y = Gemm(x, W${bias === undefined ? '' : ', C'}) @linear {transA: ${transA}, transB: ${transB}}
`;
}

const CASES = [undefined, '', '1', '7', '1, 7', '3, 1', '3, 7', '1, 1'].flatMap((bias) =>
  [0, 1].flatMap((transA) => [0, 1].map((transB) => ({ transA, transB, bias }))),
);

it.each(CASES)('transA $transA, transB $transB, bias [$bias]', async (shape) => {
  const run = await rewrite(gemm(shape.transA, shape.transB, shape.bias));
  expect(operators(run.output)).toEqual([
    ...Array<string>(shape.transA + shape.transB).fill('Transpose'),
    'MatMul',
    ...(shape.bias === undefined ? [] : ['Add']),
  ]);
  await expectClose(run, 1e-6);
});

it('keeps the element type', async () => {
  await expectClose(await rewrite(gemm(0, 1, '7', 'fp16')), 1e-3);
});

describe('a transposed weight', () => {
  const head = (body: string) => `
input ids: int64[rows]
output logits: fp32[rows, 512]
weight E: fp32[512, 32] = random(1)
h = Gather(E, ids)
${body}
`;

  it('stays the table it is tied to', async () => {
    const run = await rewrite(head('logits = Gemm(h, E) @head {transB: 1}'));
    expect(isTied(run.input)).toBe(true);
    expect(isTied(run.output)).toBe(true);
    expect(run.report.output.files[1]?.byteLength).toBe(512 * 32 * 4);
    await expectClose(run, 1e-6);
  });

  it('is read through the Transpose there is, when that comes before', async () => {
    const before = await rewrite(
      head(`t = Transpose(E)
a = MatMul(h, t)
b = Gemm(h, E) {transB: 1}
logits = Add(a, b)`),
    );
    expect(operators(before.output).filter((name) => name === 'Transpose')).toHaveLength(1);
    await expectClose(before, 1e-6);
  });

  it('gets one of its own when the other comes after', async () => {
    const after = await rewrite(
      head(`b = Gemm(h, E) {transB: 1}
t = Transpose(E)
a = MatMul(h, t)
logits = Add(a, b)`),
    );
    expect(operators(after.output).filter((name) => name === 'Transpose')).toHaveLength(2);
    await expectClose(after, 1e-6);
  });

  it('is read straight when it came out of a Transpose, which goes once nothing reads it', async () => {
    const weight = 'weight V: fp32[32, 512] = random(2)\nt = Transpose(V) {perm: [1, 0]}\n';
    const run = await rewrite(
      head(`${weight}a = Gemm(h, t) {transB: 1}\nb = Gemm(h, V)\nlogits = Add(a, b)`),
    );
    expect(operators(run.output)).toEqual(['Gather', 'MatMul', 'MatMul', 'Add']);
    await expectClose(run, 1e-6);
  });
});

describe('what is left alone', () => {
  it('is scaled, has an odd bias, or is no matrix', async () => {
    const declined = async (text: string) => (await rewrite(text)).declined;
    const plain = gemm(0, 0, '7');
    expect(await declined(plain.replace('transA: 0', 'alpha: 2.0'))).toEqual(['its alpha is 2']);
    expect(await declined(plain.replace('transA: 0', 'beta: 0.0'))).toEqual(['its beta is 0']);
    expect(await declined(gemm(0, 0, '1, 3, 7'))).toEqual([
      'its bias has 3 dimensions, more than 2',
    ]);
    expect(await declined(plain.replace('x: fp32[3, 5]', 'x: fp32[2, 3, 5]'))).toEqual([
      '"x" has 3 dimensions, not 2',
    ]);
    expect(await declined(`opset 6\n${plain}`)).toEqual([
      'before operator set 7 it broadcasts its bias in another way',
    ]);
  });

  it('takes an attribute from who calls the function', async () => {
    const run = await rewrite(`
input x: fp32[4, 4]
output y: fp32[4, 4]
weight W: fp32[4, 4] = random(1)
y = local.Layer(x, W) {flag: 1}
function local.Layer(x, w) -> y
  y = Gemm(x, w) @inner {transB: &flag}
`);
    expect(run.report.changed).toBe(false);
    expect(run.declined).toEqual(['its transB is up to who calls the function']);
  });
});

it('keeps the name for globs, and what the node says about itself', async () => {
  const path = writeModel(scratch('named'), gemm(0, 1, '7'), {
    edit: (_, graph) => {
      Object.assign(graph.node?.[0] ?? {}, { docString: 'a layer' });
    },
  });
  const args = ['apply', path, '-o', scratch('out'), '--surgery', 'GemmToMatMulAdd'];
  expect(cli(args)).toMatchObject({
    status: 0,
    stderr: 'gemm-to-matmul-add: linear: MatMul and Add\n',
  });
  using opened = openModel(join(scratch('out'), 'model.onnx'));
  const node = opened.model.graph.nodes.find((one) => one.name === 'linear');
  expect(node?.opType).toBe('MatMul');
  expect(node?.proto.docString).toBe('a layer');
});
