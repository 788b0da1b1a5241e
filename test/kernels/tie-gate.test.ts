import { describe, expect, it } from 'vitest';
import { encodeFloats } from '../../src/kernels/float-types.ts';
import type { QuantizeParameters } from '../../src/kernels/kernel.ts';
import { type TieGateTile, tieGate } from '../../src/kernels/tie-gate.ts';
import { randomNumbers } from './arbitrary-weights.ts';
import { quantizeWhole, transposed } from './quantized-buffers.ts';

const parameters: QuantizeParameters = {
  method: 'rtn',
  type: 1,
  bits: 4,
  blockSize: 16,
  symmetric: false,
  layout: 'rows',
  n: 6,
  k: 40,
};

function tableOf(seed: number): Float32Array {
  const random = randomNumbers(seed);
  return Float32Array.from({ length: 6 * 40 }, () => random() - 0.5);
}

function tileOf(table: Uint8Array, of: QuantizeParameters): TieGateTile {
  const { codes, scales, zeroPoints } = quantizeWhole(of, table);
  const elementBytes = of.type === 1 ? 4 : 2;
  return {
    table,
    channelStride: of.k * elementBytes,
    elementStride: elementBytes,
    channels: of.n,
    firstChannel: 0,
    codes,
    scales,
    zeroPoints,
  };
}

function formatOf({ type, bits, blockSize, k, symmetric }: QuantizeParameters) {
  return { type, scaleType: type, bits, blockSize, k, hasZeroPoints: !symmetric };
}

describe('tieGate', () => {
  it('accepts a table and its own encoding, at every type and width', () => {
    for (const type of [1, 10, 16] as const) {
      for (const bits of [2, 4, 8] as const) {
        for (const symmetric of [false, true]) {
          const of = { ...parameters, type, bits, symmetric };
          const tile = tileOf(encodeFloats(type, tableOf(bits)), of);
          const result = tieGate(formatOf(of), tile);
          expect(result).toMatchObject({ compared: 240, rejected: 0 });
          expect(result.worstSteps).toBeGreaterThan(0.4);
        }
      }
    }
  });

  it('finds one element that is two steps away, and says which', () => {
    const table = tableOf(1);
    const tile = tileOf(encodeFloats(1, table), parameters);
    table[3 * 40 + 21] = (table[3 * 40 + 21] as number) > 0 ? -0.2 : 0.2;
    const moved = { ...tile, table: encodeFloats(1, table), firstChannel: 100 };
    const result = tieGate(formatOf(parameters), moved);
    expect(result.rejected).toBe(1);
    expect(result.worstIndex).toBe(103 * 40 + 21);
    expect(result.worstSteps).toBeGreaterThan(1);
  });

  it('reads a table stored the other way round', () => {
    const table = encodeFloats(1, tableOf(2));
    const tile = tileOf(table, parameters);
    const other = {
      ...tile,
      table: transposed(table, 6, 40, 4),
      channelStride: 4,
      elementStride: 6 * 4,
    };
    expect(tieGate(formatOf(parameters), other)).toEqual(tieGate(formatOf(parameters), tile));
  });

  it('accepts elements beyond the end that their code is clamped at', () => {
    const table = new Float32Array(40 * 6).fill(0.5);
    const tile = tileOf(encodeFloats(1, table), parameters);
    const beyond = { ...tile, table: encodeFloats(1, table.fill(9)) };
    expect(tieGate(formatOf(parameters), beyond)).toMatchObject({ rejected: 0, worstIndex: -1 });
    const below = { ...tile, table: encodeFloats(1, table.fill(-9)) };
    expect(tieGate(formatOf(parameters), below).rejected).toBe(240);
  });

  it('accepts only subnormal elements where the scale is 0', () => {
    const table = new Float32Array(40 * 6);
    const tile = tileOf(encodeFloats(1, table), parameters);
    table[7] = 2 ** -130;
    table[8] = 1e-30;
    const result = tieGate(formatOf(parameters), { ...tile, table: encodeFloats(1, table) });
    expect(result).toMatchObject({
      rejected: 1,
      worstSteps: Number.POSITIVE_INFINITY,
      worstIndex: 8,
    });
  });

  it('rejects NaN', () => {
    const table = tableOf(3);
    const tile = tileOf(encodeFloats(1, table), parameters);
    table[5] = Number.NaN;
    const result = tieGate(formatOf(parameters), { ...tile, table: encodeFloats(1, table) });
    expect(result).toMatchObject({ rejected: 1, worstIndex: 5 });
  });

  it('finds the same in tiles', () => {
    const tile = tileOf(encodeFloats(1, tableOf(4)), parameters);
    const parts = [0, 1, 2, 3, 4, 5].map((channel) =>
      tieGate(formatOf(parameters), {
        ...tile,
        table: tile.table.subarray(channel * 160, (channel + 1) * 160),
        codes: tile.codes.subarray(channel * 24),
        scales: tile.scales.subarray(channel * 12, (channel + 1) * 12),
        zeroPoints: tile.zeroPoints?.subarray(channel * 2),
        channels: 1,
        firstChannel: channel,
      }),
    );
    const worst = parts.reduce((a, b) => (b.worstSteps > a.worstSteps ? b : a));
    expect({
      ...worst,
      compared: parts.reduce((sum, { compared }) => sum + compared, 0),
      rejected: parts.reduce((sum, { rejected }) => sum + rejected, 0),
    }).toEqual(tieGate(formatOf(parameters), tile));
  });
});
