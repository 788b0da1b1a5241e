import { expect, it } from 'vitest';
import { checkRanges } from '../../src/report/check-ranges.ts';
import { Findings } from '../../src/report/findings.ts';
import { TensorRanges } from '../../src/report/tensor-ranges.ts';

const model = { fd: -1, path: '/m/model.onnx', byteLength: 100_000 };
const data = { fd: -1, path: '/m/w.data', byteLength: 100_000 };

/** Checks ranges of the data file; the tensors are called by their numbers. */
function check(...list: (readonly [start: number, end: number])[]) {
  const ranges = new TensorRanges();
  for (const [index, [start, end]] of list.entries()) {
    ranges.add({ file: data, byteOffset: start, byteLength: end - start }, index);
  }
  const findings = new Findings();
  const sums = checkRanges(ranges, model, String, findings);
  const told = findings.list().map(({ code, where, message }) => [code, where.tensor, message]);
  return { sums, told };
}

it('compares a range with the one that reaches furthest, not with the one before', () => {
  const { sums, told } = check([0, 100_000], [10, 20], [50, 60]);
  expect(told).toEqual([
    ['external-overlap', '1', 'shares bytes 10 to 20 with "0", but not all'],
    ['external-overlap', '2', 'shares bytes 50 to 60 with "0", but not all'],
  ]);
  expect(sums).toEqual({ aliases: 0, byteLength: 100_000 });
});

it('takes equal ranges for aliases, whatever lies between them', () => {
  const { sums, told } = check(
    [40_000, 100_000],
    [0, 40_000],
    [40_000, 100_000],
    [40_000, 100_000],
  );
  expect(told).toEqual([]);
  expect(sums).toEqual({ aliases: 2, byteLength: 100_000 });
});

it('minds no range without bytes', () => {
  expect(check([0, 100_000], [50, 50], [50, 50])).toEqual({
    told: [],
    sums: { aliases: 0, byteLength: 100_000 },
  });
});

it('adds up the gaps, the padding among them, where one is larger than a page', () => {
  const { told } = check([100, 1000], [6000, 90_000]);
  expect(told).toEqual([
    ['external-unused', undefined, '15100 of 100000 bytes belong to no tensor'],
  ]);
  expect(check([100, 50_000], [54_000, 97_000]).told).toEqual([]);
});
