import { describe, expect, it } from 'vitest';
import { type QuantizeParameters, quantizeOutputs } from '../../src/kernels/kernel.ts';

const parameters: QuantizeParameters = {
  method: 'rtn',
  type: 10,
  bits: 4,
  blockSize: 32,
  symmetric: false,
  layout: 'rows',
  n: 7,
  k: 70,
};

describe('quantizeOutputs', () => {
  it('declares codes, scales and zero points', () => {
    expect(quantizeOutputs(parameters)).toEqual([
      { role: 'codes', dtype: 2, dims: [7, 3, 16], byteLength: 336 },
      { role: 'scales', dtype: 10, dims: [7, 3], byteLength: 42 },
      { role: 'zeroPoints', dtype: 2, dims: [7, 2], byteLength: 14 },
    ]);
  });

  it('leaves the zero points out when symmetric', () => {
    const roles = quantizeOutputs({ ...parameters, symmetric: true }).map((output) => output.role);
    expect(roles).toEqual(['codes', 'scales']);
  });

  it.each([
    ['type', 11],
    ['method', 'gptq'],
    ['bits', 3],
    ['blockSize', 48],
    ['n', 0],
    ['k', 1.5],
  ])('refuses %s %s', (name, value) => {
    expect(() => quantizeOutputs({ ...parameters, [name]: value })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION' }),
    );
  });

  it('refuses a weight with more than 2^53 elements', () => {
    expect(() => quantizeOutputs({ ...parameters, n: 2 ** 40, k: 2 ** 20 })).toThrow(
      expect.objectContaining({ code: 'ERR_LIMIT' }),
    );
  });
});
