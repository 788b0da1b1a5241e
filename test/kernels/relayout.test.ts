import { describe, expect, it } from 'vitest';
import { relayoutOutputs } from '../../src/kernels/kernel.ts';
import { relayoutFlat, relayoutTransposed } from '../../src/kernels/relayout.ts';

describe('a transposed matrix of codes', () => {
  it('has its columns as rows, in whole bytes that end with the middle code', () => {
    // 3 x 4 codes of four bits: 1 2 3 4, 5 6 7 8, 9 a b c
    const source = Uint8Array.of(0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb);
    const shape = { source, rowStride: 2, rows: 3, columns: 4, columnStride: 2 };
    const target = new Uint8Array(8);
    relayoutTransposed({ bits: 4, flip: false }, { ...shape, target });
    expect([...target]).toEqual([0x51, 0x89, 0x62, 0x8a, 0x73, 0x8b, 0x84, 0x8c]);
    relayoutTransposed({ bits: 4, flip: true }, { ...shape, target });
    expect([...target]).toEqual([0xd9, 0x81, 0xea, 0x82, 0xfb, 0x83, 0x0c, 0x84]);
  });

  it('has codes of two bits four to a byte', () => {
    const target = new Uint8Array(4);
    const source = Uint8Array.of(0b11100100, 0b00011011);
    const shape = { source, rowStride: 1, rows: 2, columns: 4, columnStride: 1 };
    relayoutTransposed({ bits: 2, flip: false }, { ...shape, target });
    expect([...target]).toEqual([0b10101100, 0b10101001, 0b10100110, 0b10100011]);
  });
});

it('codes get a sign by their top bit, and scales theirs by that of the last byte', () => {
  const target = new Uint8Array(4);
  relayoutFlat({ bits: 4, flip: true }, Uint8Array.of(0x08, 0x7f), target);
  expect([...target]).toEqual([0x80, 0xf7, 0, 0]);
  relayoutFlat({ bits: 32, flip: true }, Uint8Array.of(1, 2, 3, 4), target);
  expect([...target]).toEqual([1, 2, 3, 0x84]);
});

it('its length is that of whole rows', () => {
  const shape = { bits: 4, rows: 3, columns: 5, flip: false } as const;
  const [flat] = relayoutOutputs({ ...shape, transposed: false });
  const [turned] = relayoutOutputs({ ...shape, transposed: true });
  expect([flat?.byteLength, turned?.byteLength, turned?.dims]).toEqual([9, 10, [5, 2]]);
});
