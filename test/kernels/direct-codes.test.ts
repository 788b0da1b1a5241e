import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DIRECT_ROUNDING, encodesDirectly } from '../../src/kernels/direct-codes.ts';
import { patternTable } from '../../src/kernels/float-types.ts';
import { HALF_LAYOUTS } from '../../src/kernels/half-layout.ts';

const { fround } = Math;

/** Scales with few significant bits, of which there are ties, as often as any others. */
const significands = fc.oneof(
  fc.integer({ min: 0, max: 0x3ff }),
  fc
    .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 0, max: 10 }))
    .map(([n, t]) => n << t),
);

const blocks = fc.record({
  type: fc.constantFrom(10 as const, 16 as const),
  top: fc.constantFrom(3, 15, 255),
  exponent: fc.nat(0xff),
  significand: significands,
  zeroPoint: fc.nat(255),
  isNegative: fc.boolean(),
});

describe('the direct formula', () => {
  it('gives the codes of ONNX Runtime wherever it is chosen', () => {
    let chosen = 0;
    fc.assert(
      fc.property(blocks, ({ type, top, exponent, significand, zeroPoint: any, isNegative }) => {
        const table = patternTable(type);
        const layout = HALF_LAYOUTS[type];
        const significandBits = layout.exponent ^ 0x7fff;
        const magnitude =
          ((exponent * (significandBits + 1)) & layout.exponent) | (significand & significandBits);
        const pattern = isNegative ? magnitude | 0x8000 : magnitude;
        const zeroPoint = any & top;
        if (!encodesDirectly(layout, pattern, zeroPoint)) return;
        chosen++;
        const scale = table[pattern] as number;
        const reciprocal = fround(1 / scale);
        // Every element from a quarter of the scale to beyond the last code, of both signs.
        const largest = Math.abs(scale) * (top + 2);
        const from = Math.max(0, magnitude - 2 * (significandBits + 1));
        for (let positive = from; Math.abs(table[positive] as number) <= largest; positive++) {
          for (const x of [table[positive] as number, -(table[positive] as number)]) {
            const position = fround(fround(x * reciprocal) + zeroPoint);
            const code = Math.min(Math.max(Math.floor(position + 0.5), 0), top);
            const direct = (x * reciprocal + (zeroPoint + DIRECT_ROUNDING)) | 0;
            if (Math.min(Math.max(direct, 0), top) !== code) {
              expect.fail(`${x} with scale ${scale} and zero point ${zeroPoint}`);
            }
          }
        }
      }),
      { numRuns: 400 },
    );
    expect(chosen).toBeGreaterThan(50);
  });

  it('is not chosen where ties might be rounded down, and scales have no normal inverse', () => {
    const half = HALF_LAYOUTS[10];
    expect(encodesDirectly(half, 0x3c01, 8)).toBe(true);
    expect(encodesDirectly(half, 0x3c08, 8)).toBe(false);
    expect(encodesDirectly(half, 0x3c04, 8)).toBe(true);
    expect(encodesDirectly(half, 0x3c04, 7)).toBe(false);
    expect(encodesDirectly(half, 0x3c01, 1)).toBe(false);
    expect(encodesDirectly(half, 0x0001, 8)).toBe(false);
    expect(encodesDirectly(half, 0x7c00, 8)).toBe(false);
    expect(encodesDirectly(HALF_LAYOUTS[16], 0x7e81, 3)).toBe(false);
    expect(encodesDirectly(HALF_LAYOUTS[16], 0x7e01, 3)).toBe(true);
  });
});
