import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import quantizeMatmul from '../../src/surgeries/quantize-matmul.ts';
import { cli, cliHere } from '../support/cli.ts';
import { writeModel } from '../support/model-builder.ts';
import { printFile } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const LAYERS = `
input x: fp32[rows, 64]
output logits: fp32[rows, 512]
weight A: fp32[64, 64] = random(1)
weight B: fp32[64, 64] = random(2)
weight H: fp32[64, 512] = random(3)
a = MatMul(x, A) @layers.0/up
b = MatMul(a, B) @layers.0/down
logits = MatMul(b, H) @head
`;

beforeEach(() => {
  writeModel(scratch('in'), LAYERS);
});

function quantize(...args: string[]) {
  return cliHere(['quantize', 'in', ...args], { cwd: scratch() });
}

/** Bits and blocks of each MatMulNBits by the name of the node it was; what is not one is left out. */
async function blocks(...args: string[]): Promise<Record<string, string>> {
  const { status, stderr } = await quantize('-o', 'out', '-q', ...args);
  expect([status, stderr]).toEqual([0, '']);
  const products = printFile(scratch('out/model.onnx')).matchAll(
    /@(\S+)_Q\d \{.*bits: (\d), block_size: (\d+)/g,
  );
  return Object.fromEntries([...products].map(([, name, bits, size]) => [name, `${bits}/${size}`]));
}

describe('quantize', () => {
  it('quantizes all layers but the head', () => {
    const { status, stdout, stderr } = cli(['quantize', 'in', '-o', 'out'], { cwd: scratch() });
    expect(status).toBe(0);
    expect(stderr).toContain('quantize-matmul: layers.0/up and 1 more: 4-bit weight [64, 64]\n');
    expect(stdout).toMatch(/^model\.onnx \(.*\) → out\/model\.onnx \(.*\) in .*\n$/);
    expect(printFile(scratch('out/model.onnx'))).toContain('logits = MatMul(b, H) @head');
  });

  it.each([
    [['--include', '*'], { 'layers.0/up': '4/32', 'layers.0/down': '4/32', head: '4/32' }],
    [['--exclude', '*down'], { 'layers.0/up': '4/32', head: '4/32' }],
    [['--bits', '8', '--block-size', '64'], { 'layers.0/up': '8/64', 'layers.0/down': '8/64' }],
    [
      ['--set', '*up=bits:2', '--set', '*down=bits:8,block-size:16'],
      { 'layers.0/up': '2/32', 'layers.0/down': '8/16' },
    ],
    [['--mixed', 'k_quant_last'], { 'layers.0/up': '4/32', 'layers.0/down': '4/32', head: '8/32' }],
  ])('does as %j say', async (args, expected) => {
    expect(await blocks(...args)).toEqual(expected);
  });

  it('takes --symmetric and --method', async () => {
    await blocks('--symmetric', '--method', 'k-quant');
    expect(printFile(scratch('out/model.onnx'))).not.toContain('zero_points');
  });

  it('-n prints the sizes the run then writes', async () => {
    const args = ['--set', '*down=bits:8', '--json'];
    const plan = JSON.parse((await quantize('-n', ...args)).stdout);
    expect(existsSync(scratch('out'))).toBe(false);
    const run = JSON.parse((await quantize('-o', 'out', ...args)).stdout);
    expect(plan.output.files).toEqual(run.output.files);
    expect(plan.tensors).toEqual(run.tensors);
  });

  it.each([
    [['--bits', '5'], 'option bits: "5" is not one of 2, 4, 8'],
    [['--set', 'head'], 'option set: "head" names no nodes'],
    [['--set', 'head=bits:3'], 'option set "head": bits: "3" is not one of 2, 4, 8'],
    [['--set', '@heads=bits:8'], '"@heads" is not a role'],
    [['--mixed', 'k_quant'], 'option mixed: "k_quant" is not one of none, k_quant_mixed'],
  ])('%j is a mistake', async (args, message) => {
    const { status, stderr } = await quantize('-o', 'out', ...args);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
    expect(existsSync(scratch('out'))).toBe(false);
  });

  it('says so when the head is all that was meant, and left out', async () => {
    const { status, stderr } = await quantize('-o', 'out', '--set', '@head=bits:8');
    expect(status).toBe(0);
    expect(stderr).toContain(
      'warning: set "@head" matches only nodes that are left out or quantized already',
    );
  });

  it('has a flag for every option of the surgery', async () => {
    const { stdout } = await cliHere(['quantize', '--help']);
    for (const name of Object.keys(quantizeMatmul.options)) {
      const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      expect(stdout).toContain(`  --${flag}`);
    }
    expect((await cliHere(['help', 'quantize'])).stdout).toBe(stdout);
  });
});
