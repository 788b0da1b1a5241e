/** Codes on their way to DequantizeLinear and back: what they stand for, and in the end their very bytes. */

import { mkdirSync, rmSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DType } from '../../src/dtypes.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import { codeAt, dequantize } from '../../src/kernels/dequantize.ts';
import { decodeFloats } from '../../src/kernels/float-types.ts';
import { writeModel } from '../support/model-builder.ts';
import { initializerBytes, runSteps } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const shapes = fc.record({
  type: fc.constantFrom('fp32', 'fp16', 'bf16'),
  bits: fc.constantFrom(2 as const, 4 as const, 8 as const),
  blockSize: fc.constantFrom(16 as const, 32 as const, 64 as const),
  symmetric: fc.boolean(),
  layout: fc.constantFrom('columns', 'rows'),
  n: fc.integer({ min: 1, max: 90 }),
  kBlocks: fc.integer({ min: 1, max: 9 }),
  seed: fc.nat({ max: 1000 }),
});

type Shape = typeof shapes extends fc.Arbitrary<infer T> ? T : never;

function modelText({ type, bits, blockSize, symmetric, n, kBlocks, seed }: Shape): string {
  const k = kBlocks * blockSize;
  const packed = Math.ceil((kBlocks * bits) / 8);
  const zeroPoints = `weight W_zero_points: uint8[${n}, ${packed}] = noise(${seed + 2})`;
  return `
ir 13
opset 25
opset com.microsoft 1
input x: ${type}[rows, ${k}]
output y: ${type}[rows, ${n}]
weight W_Q${bits}: uint8[${n}, ${kBlocks}, ${(blockSize * bits) / 8}] = noise(${seed})
weight W_scales: ${type}[${n}, ${kBlocks}] = random(${seed + 1})
${symmetric ? '' : zeroPoints}
y = com.microsoft.MatMulNBits(x, W_Q${bits}, W_scales${symmetric ? '' : ', W_zero_points'}) @up_Q${bits} {K: ${k}, N: ${n}, bits: ${bits}, block_size: ${blockSize}}
`;
}

/** Unused slots hold the middle code, as every quantizer leaves them. */
function fillPadding(bytes: Uint8Array, { bits, n, kBlocks }: Shape): void {
  const packed = bytes.length / n;
  for (let index = kBlocks; index < (packed * 8) / bits; index++) {
    for (let row = 0; row < n; row++) {
      const at = row * packed + Math.floor((index * bits) / 8);
      const shift = (index * bits) & 7;
      const cleared = (bytes[at] ?? 0) & ~(((1 << bits) - 1) << shift);
      bytes[at] = cleared | ((1 << (bits - 1)) << shift);
    }
  }
}

/** What DequantizeLinear makes of the output, as ONNX defines it, [n, k]. */
function dequantized(path: string, { type, bits, blockSize, n, kBlocks, layout }: Shape) {
  using opened = openModel(path);
  const tensor = (name: string) => opened.model.graph.initializers.get(name)?.tensor;
  const k = kBlocks * blockSize;
  const codes = initializerBytes(path, `W_DQ_Q${bits}`);
  const scales = decodeFloats(
    { fp32: 1, fp16: 10, bf16: 16 }[type] as 1,
    initializerBytes(path, 'W_DQ_scales'),
  );
  const stored = tensor('W_DQ_zero_points') && initializerBytes(path, 'W_DQ_zero_points');
  const dtype = tensor(`W_DQ_Q${bits}`)?.dtype ?? 0;
  const isSigned = [DType.INT2, DType.INT4, DType.INT8].some((signed) => signed === dtype);
  const number = (packed: Uint8Array, index: number) => {
    const code = codeAt(packed, bits, index);
    return isSigned && code >= 2 ** (bits - 1) ? code - 2 ** bits : code;
  };
  const values = new Float32Array(n * k);
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < k; i++) {
      const block = Math.floor(i / blockSize);
      const at = layout === 'rows' ? row * k + i : i * n + row;
      const blockAt = layout === 'rows' ? row * kBlocks + block : block * n + row;
      const zeroPoint = stored === undefined ? 0 : number(stored, blockAt);
      values[row * k + i] = (number(codes, at) - zeroPoint) * (scales[blockAt] as number);
    }
  }
  return values;
}

test('nothing is lost, there and back', async () => {
  let converted = 0;
  await fc.assert(
    fc.asyncProperty(shapes, async (shape) => {
      rmSync(scratch('run'), { recursive: true, force: true });
      mkdirSync(scratch('run/in'), { recursive: true });
      const { type, bits, blockSize, symmetric, layout, n, kBlocks } = shape;
      const input = writeModel(scratch('run/in'), modelText(shape), {
        fill: { W_zero_points: ({ bytes }) => fillPadding(bytes, shape) },
      });
      const there = await runSteps(input, scratch('run/qdq'), [
        ['matmul-nbits-to-qdq', { layout }],
      ]);
      const fits =
        layout === 'columns'
          ? (n * bits) % 8 === 0
          : symmetric || n === 1 || (kBlocks * bits) % 8 === 0;
      expect(there.report.changed).toBe(fits);
      if (!fits) return;
      converted++;

      const format = { type: { fp32: 1, fp16: 10, bf16: 16 }[type] as 1, bits, blockSize };
      const names = [`W_Q${bits}`, 'W_scales', ...(symmetric ? [] : ['W_zero_points'])];
      const [codes, scales, zeroPoints] = names.map((name) => initializerBytes(input, name));
      if (codes === undefined || scales === undefined) throw new Error('a table without codes');
      const expected = dequantize(
        { ...format, n, k: kBlocks * blockSize },
        { codes, scales, zeroPoints },
      );
      expect(dequantized(there.output, shape)).toEqual(expected);

      const back = await runSteps(there.output, scratch('run/back'), [
        ['qdq-to-matmul-nbits', { accuracyLevel: 0 }],
      ]);
      expect(back.declined).toEqual([]);
      for (const name of names) {
        expect(
          Buffer.compare(initializerBytes(back.output, name), initializerBytes(input, name)),
        ).toBe(0);
      }
      expect(back.printed).toContain(`@up_Q${bits} {K: ${kBlocks * blockSize}, N: ${n}, `);
    }),
    { numRuns: 20 },
  );
  expect(converted).toBeGreaterThan(5);
});
