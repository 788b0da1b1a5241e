import { describe, expect, it } from 'vitest';
import { outputDifference, valueDifferences } from '../../src/evaluate/compare-outputs.ts';
import type { HostTensor } from '../../src/evaluate/host-tensor.ts';

const INFINITY = Number.POSITIVE_INFINITY;

function tensor(...values: number[]): HostTensor {
  return { type: 'float32', dims: [values.length], data: Float32Array.from(values) };
}

describe('outputDifference', () => {
  it('measures the largest and the mean distance', () => {
    expect(outputDifference('y', tensor(1, -4, 2), tensor(1.5, -4, 1))).toEqual({
      name: 'y',
      elements: 3,
      maxAbs: 1,
      meanAbs: 0.5,
      maxMagnitude: 4,
    });
  });

  it('takes equal infinities and NaN as equal, other ones as infinitely far', () => {
    const same = tensor(INFINITY, Number.NaN, -0);
    expect(outputDifference('y', same, tensor(INFINITY, Number.NaN, 0)).maxAbs).toBe(0);
    expect(outputDifference('y', same, tensor(-INFINITY, Number.NaN, 0)).maxAbs).toBe(INFINITY);
    expect(outputDifference('y', same, tensor(INFINITY, 1, 0)).maxAbs).toBe(INFINITY);
  });

  it('reaches elements beyond the first chunk', () => {
    const a: HostTensor = { type: 'float16', dims: [70000], data: new Uint16Array(70000) };
    const b: HostTensor = { ...a, data: new Uint16Array(70000) };
    b.data[69999] = 0x3c00;
    expect(outputDifference('y', a, b)).toMatchObject({ maxAbs: 1, meanAbs: 1 / 70000 });
  });

  it('of outputs without elements is nothing', () => {
    expect(outputDifference('y', tensor(), tensor())).toMatchObject({ maxAbs: 0, meanAbs: 0 });
  });
});

describe('valueDifferences', () => {
  const a = { name: 'a', type: 'float16', shape: [] };
  const b = { name: 'b', type: 'float16', shape: [] };
  const c = { name: 'c', type: 'int64', shape: [] };

  it('finds nothing between equal lists', () => {
    expect(valueDifferences('input', [a, b], [a, b])).toEqual([]);
  });

  it('finds missing, retyped and moved values', () => {
    expect(valueDifferences('input', [a, b], [a, c])).toEqual([
      'input "b" is missing in the second model',
      'input "c" is missing in the first model',
    ]);
    expect(valueDifferences('output', [a], [{ ...a, type: 'float32' }])).toEqual([
      'output "a" is float16 and float32',
    ]);
    expect(valueDifferences('output', [a, b], [b, a])).toEqual(['output "a" is at another place']);
  });
});
