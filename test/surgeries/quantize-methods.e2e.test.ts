import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectClose } from '../support/compare-runs.ts';
import { runText, type Step } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const TEXT = `
input x: fp32[rows, 128]
output y
weight W: fp32[128, 256] = random(1)
y = MatMul(x, W) @up
`;

let runs = 0;

function run(...steps: Step[]) {
  runs++;
  return runText(scratch(`${runs}`), TEXT, steps);
}

async function bytesOf(...steps: Step[]): Promise<Buffer> {
  const { output } = await run(...steps);
  return readFileSync(`${output}.data`);
}

describe('the method of quantize-matmul', () => {
  it.each([
    ['at 4 bits', { bits: 4 }, { bits: 4, method: 'search' }],
    ['at 2 bits', { bits: 2 }, { bits: 2, method: 'search' }],
    ['at 8 bits', { bits: 8 }, { bits: 8, method: 'rtn' }],
  ])('is chosen by the bits: %s', async (_, given, meant) => {
    const left = await bytesOf(['quantize-matmul', given]);
    expect(left).toEqual(await bytesOf(['quantize-matmul', meant]));
  });

  it.each([
    ['OnnxBlockWiseRtnQuantization', 'rtn'],
    ['onnxkquantquantization', 'k-quant'],
  ])('is told by the name %s', async (alias, method) => {
    const left = await bytesOf([alias, {}]);
    expect(left).toEqual(await bytesOf(['quantize-matmul', { method }]));
    expect(left).not.toEqual(await bytesOf(['quantize-matmul', {}]));
  });

  // Normal weights: what a code stands for is off by 0.4, 0.08 and 0.005 of their spread, and a product sums 128.
  it.each([
    [2, 0.35],
    [4, 0.07],
    [8, 0.01],
  ])('gives weights of %i bits that ONNX Runtime computes with', async (bits, tolerance) => {
    for (const method of ['rtn', 'search', 'k-quant']) {
      const step: Step = ['quantize-matmul', { bits, method, accuracyLevel: 0 }];
      await expectClose(await run(step), tolerance);
    }
  });

  it('may be given with a name that tells another', async () => {
    const left = await bytesOf(['OnnxKQuantQuantization', { method: 'rtn' }]);
    expect(left).toEqual(await bytesOf(['quantize-matmul', { method: 'rtn' }]));
  });
});
