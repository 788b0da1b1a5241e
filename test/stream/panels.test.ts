import { describe, expect, test } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import { divideBudget } from '../../src/stream/budget.ts';
import { cutPanels, RING_BYTES, readableChannels, stripsOf } from '../../src/stream/panels.ts';

/** int4 in blocks of 32 from fp16. */
function work(n: number, k: number) {
  const panelBytesPerChannel = k / 2 + k / 16 + k / 64;
  return { n, k, elementBytes: 2, unit: 64, panelBytesPerChannel, extraBytesPerChannel: () => 0 };
}

describe('with 64 MiB and two threads', () => {
  const budget = divideBudget(64 * MIB, 2);

  test('a weight of moderate size is one panel of whole rows', () => {
    expect(cutPanels(work(8704, 2560), budget, 'test')).toMatchObject({
      channels: 8704,
      stripChannels: 8704,
    });
  });

  test('so it is at 8 bits, though it takes more than the ring', () => {
    const wide = { ...work(8704, 2560), panelBytesPerChannel: 2560 * 1.125 };
    expect(cutPanels(wide, budget, 'test').channels).toBeLessThan(8704);
    const leastChannels = readableChannels(8704, 2560, 2);
    expect(cutPanels({ ...wide, leastChannels }, budget, 'test').channels).toBe(8704);
  });

  test('of a tall weight a panel has a page of each row', () => {
    const leastChannels = readableChannels(8192, 28672, 2);
    expect(cutPanels({ ...work(8192, 28672), leastChannels }, budget, 'test').channels).toBe(2048);
  });

  test('the panels of a language-model head begin on pages and fit the ring', () => {
    const { channels } = cutPanels(work(262144, 2560), budget, 'test');
    expect((channels * 2) % 4096).toBe(0);
    expect(channels * work(262144, 2560).panelBytesPerChannel).toBeLessThanOrEqual(RING_BYTES);
    expect(channels * 2).toBeGreaterThanOrEqual(16 * 1024);
  });

  test('a channel larger than the ring still has one', () => {
    expect(cutPanels(work(8, 20_000_000), divideBudget(64 * MIB, 2), 'test').channels).toBe(1);
  });

  test('strips take what a second-level cache has', () => {
    const { stripChannels, rows } = cutPanels(work(262144, 2560), budget, 'test');
    expect(rows).toBe(128);
    expect((stripChannels * 2) % 4096).toBe(0);
    expect(stripChannels * rows * 2).toBeGreaterThan(MIB);
    expect(stripChannels * rows * 2).toBeLessThanOrEqual(2.25 * MIB);
  });

  test('a narrow weight is read in taller strips', () => {
    const { stripChannels, rows } = cutPanels(work(64, 4096), budget, 'test');
    expect(stripChannels).toBe(64);
    expect(rows * 64 * 2).toBeGreaterThan(MIB / 4);
  });

  test('strips cover a panel row by row', () => {
    const cut = { channels: 10, stripChannels: 4, rows: 64 };
    const corners = [...stripsOf(cut, 100, 20, 10)].flatMap(({ count, at }) =>
      Array.from({ length: count }, (_, index) => Object.values(at(index))),
    );
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
  expect(16 * budget.scratchBytes + budget.ringBytes).toBeLessThanOrEqual(64 * MIB);
  expect(cutPanels(work(262144, 2560), budget, 'test').channels).toBeGreaterThanOrEqual(4096);
});
