import { expect, test } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import { ResourceError } from '../../src/errors.ts';
import type { QuantizeParameters } from '../../src/kernels/kernel.ts';
import { ProgramBuilder } from '../../src/stream/program-builder.ts';

const file = { fd: 0, path: 'model.onnx.data', byteLength: 2 ** 50 };
const place = { file: { fd: 1, path: 'out.data' }, byteOffset: 0 };

function quantize(parameters: Partial<QuantizeParameters>, memoryBytes: number, threads = 2) {
  const builder = new ProgramBuilder({ memoryBytes, threads });
  const whole: QuantizeParameters = {
    ...{
      method: 'rtn',
      type: 10,
      bits: 4,
      blockSize: 32,
      symmetric: false,
      layout: 'columns',
      n: 1,
      k: 1,
    },
    ...parameters,
  };
  const byteLength = whole.n * whole.k * 2;
  const source = { kind: 'range' as const, file, byteOffset: 0, byteLength };
  const zeroPoints = whole.symmetric ? {} : { zeroPoints: place };
  builder.addQuantize(whole, source, { codes: place, scales: place, ...zeroPoints });
  return builder.finish();
}

test('the strips of a panel follow each other in the file', () => {
  const { tiles } = quantize({ n: 11008, k: 512 }, 64 * MIB);
  let end = 0;
  for (let index = 0; end < 11008 * 2; index++) {
    const [input] = tiles.at(index).inputs;
    expect(input?.byteOffset).toBe(end);
    end += input?.segmentByteLength ?? Number.NaN;
  }
  expect(end).toBe(11008 * 2);
});

test('a channel larger than a thread may hold is cut between pairs of blocks', () => {
  const program = quantize({ layout: 'rows', n: 3, k: 1_000_001 }, MIB);
  const first = program.tiles.at(0);
  expect(first.channels).toBe(1);
  expect(first.elements % 64).toBe(0);
  expect(first.elements).toBeLessThan(1_000_001);
});

test('a budget that is too small is refused with one that is not', () => {
  const parameters = { n: 1000, k: 1_000_000 };
  let needed = 0;
  try {
    quantize(parameters, 100_000);
  } catch (error) {
    expect(error).toBeInstanceOf(ResourceError);
    const { message, hint, details } = error as ResourceError;
    expect(message).toMatch(
      /^quantizing a weight of 1000 channels of 1000000 elements \(columns\) /,
    );
    expect(hint).toBe('raise --memory or lower --threads');
    needed = Number(details['neededBytes']);
  }
  expect(needed).toBeGreaterThan(100_000);
  expect(() => quantize(parameters, needed)).not.toThrow();
});

test('a range of the wrong length is a mistake of the caller', () => {
  const builder = new ProgramBuilder({ memoryBytes: MIB, threads: 1 });
  const source = { kind: 'range' as const, file, byteOffset: 0, byteLength: 31 };
  const shape = { rows: 4, columns: 4, elementBytes: 2 as const, transposed: false };
  expect(() => builder.addCompare(shape, source, source)).toThrow(
    'first tensor of 31 bytes, expected 32',
  );
});

test('a range beyond the end of its file is a mistake of the caller', () => {
  const builder = new ProgramBuilder({ memoryBytes: MIB, threads: 1 });
  const short = { fd: 0, path: 'short.data', byteLength: 40 };
  const source = { kind: 'range' as const, file: short, byteOffset: 20, byteLength: 32 };
  const shape = { rows: 4, columns: 4, elementBytes: 2 as const, transposed: false };
  expect(() => builder.addCompare(shape, source, source)).toThrow('outside short.data');
});

test('tiles of a 16 GB model take five megabytes', () => {
  const builder = new ProgramBuilder({ memoryBytes: 64 * MIB, threads: 2 });
  const parameters: QuantizeParameters = {
    ...{
      method: 'rtn',
      type: 10,
      bits: 4,
      blockSize: 32,
      symmetric: true,
      layout: 'columns',
      n: 14336,
      k: 4096,
    },
  };
  const source = { kind: 'range' as const, file, byteOffset: 0, byteLength: 14336 * 4096 * 2 };
  for (let i = 0; i < 136; i++)
    builder.addQuantize(parameters, source, { codes: place, scales: place });
  const { tiles } = builder.finish();
  expect(tiles.words.byteLength + tiles.tiles.byteLength).toBeLessThan(MIB);
});
