import { describe, expect, test } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import { divideBudget } from '../../src/stream/budget.ts';
import { cutPanels, stripsOf } from '../../src/stream/panels.ts';

/** int4 in blocks of 32 from fp16. */
function work(n: number, k: number) {
  const slotBytesPerChannel = k / 2 + k / 16 + k / 64;
  return { n, k, elementBytes: 2, unit: 64, slotBytesPerChannel, extraBytesPerChannel: () => 0 };
}

describe('with 64 MiB and two threads', () => {
  const budget = divideBudget(64 * MIB, 2);

  test('a weight of moderate size is one panel', () => {
    expect(cutPanels(work(4096, 2560), budget, 'test').channels).toBe(4096);
  });

  test('the panels of a language-model head begin on cache lines and take 6 MB at most', () => {
    const { channels } = cutPanels(work(262144, 2560), budget, 'test');
    expect((channels * 2) % 64).toBe(0);
    expect(channels * work(262144, 2560).slotBytesPerChannel).toBeLessThanOrEqual(6 * MIB);
    expect(channels * 2).toBeGreaterThanOrEqual(6 * 1024);
  });

  test('a channel larger than a slot needs to be still has one', () => {
    expect(cutPanels(work(8, 20_000_000), divideBudget(64 * MIB, 2), 'test').channels).toBe(1);
  });

  test('strips stay in the second-level cache', () => {
    const { stripChannels, rows } = cutPanels(work(262144, 2560), budget, 'test');
    expect(rows).toBe(128);
    expect(stripChannels * rows * 2).toBe(MIB);
  });

  test('a narrow weight is read in taller strips', () => {
    const { stripChannels, rows } = cutPanels(work(64, 4096), budget, 'test');
    expect(stripChannels).toBe(64);
    expect(rows * 64 * 2).toBeGreaterThan(MIB / 4);
  });

  test('strips cover a panel row by row', () => {
    const cut = { channels: 10, stripChannels: 4, rows: 64 };
    const corners = Array.from(stripsOf(cut, 100, 20, 10), (strip) => Object.values(strip));
    expect(corners).toEqual([
      [20, 4, 0, 64],
      [24, 4, 0, 64],
      [28, 2, 0, 64],
      [20, 4, 64, 36],
      [24, 4, 64, 36],
      [28, 2, 64, 36],
    ]);
  });
});

test('sixteen threads share the same memory', () => {
  const budget = divideBudget(64 * MIB, 16);
  expect(16 * budget.scratchBytes + budget.slotBytes).toBeLessThanOrEqual(64 * MIB);
  expect(cutPanels(work(262144, 2560), budget, 'test').channels).toBeGreaterThanOrEqual(4096);
});
