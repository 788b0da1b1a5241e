import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeFloats, encodeFloats } from '../../src/kernels/float-types.ts';
import type { StoredMatrix } from '../../src/report/stored-matrix.ts';
import { bandReader, readBand, type WeightOperand } from '../../src/report/weight-operand.ts';

/** Codes packed without gaps, low bits first. */
function pack(codes: readonly number[], bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  codes.forEach((code, i) => {
    const at = (i * bits) >> 3;
    bytes[at] = (bytes[at] ?? 0) | ((code & (2 ** bits - 1)) << ((i * bits) & 7));
  });
  return bytes;
}

it('any band of a quantized weight stands for (code - zero point) * scale, however it is stored', () => {
  fc.assert(
    fc.property(
      fc.record({
        bits: fc.constantFrom(2 as const, 4 as const, 8 as const),
        isSigned: fc.boolean(),
        transposed: fc.boolean(),
        n: fc.integer({ min: 1, max: 9 }),
        blocks: fc.integer({ min: 1, max: 5 }),
        blockSize: fc.constantFrom(16, 24, 32),
        seed: fc.nat(),
      }),
      fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat()),
      ({ bits, isSigned, transposed, n, blocks, blockSize, seed }, [c, cs, e, es]) => {
        const k = blocks * blockSize;
        const low = isSigned ? -(2 ** (bits - 1)) : 0;
        const code = (i: number) => low + ((Math.imul(i + 1, 2654435761 + seed) >>> 7) % 2 ** bits);
        const scale = (i: number) => Math.fround(((i * 7 + seed) % 11) / 8 - 0.5);
        const format = { kind: 'code', bits, isSigned } as const;
        const matrix = (columns: number, source: Uint8Array, of: StoredMatrix['format']) => {
          const [rows, width] = transposed ? [columns, n] : [n, columns];
          return { source, rows, columns: width, format: of };
        };
        const list = (count: number, of: (i: number) => number) =>
          Array.from({ length: count }, (_, i) => of(i));
        const operand: WeightOperand = {
          ...{ n, k, transposed, storage: '' },
          values: matrix(k, pack(list(n * k, code), bits), format),
          blocks: {
            blockSize,
            scales: matrix(blocks, encodeFloats(10, list(n * blocks, scale)), {
              kind: 'float',
              type: 10,
            }),
            zeroPoints: matrix(
              blocks,
              pack(
                list(n * blocks, (i) => code(i + 5)),
                bits,
              ),
              format,
            ),
            zeroPoint: 0,
          },
        };
        const stored = decodeFloats(10, encodeFloats(10, list(n * blocks, scale)));
        const flat = (channel: number, at: number, width: number) =>
          transposed ? at * n + channel : channel * width + at;
        const band = {
          firstChannel: c % n,
          channels: 1 + (cs % (n - (c % n))),
          firstElement: e % k,
          elements: 1 + (es % (k - (e % k))),
        };
        const read = bandReader(readBand(operand, band));
        const found = new Float32Array(band.elements);
        for (let channel = 0; channel < band.channels; channel++) {
          read(channel, 0, band.elements, found);
          const expected = list(band.elements, (i) => {
            const element = band.firstElement + i;
            const whole = band.firstChannel + channel;
            const block = flat(whole, Math.floor(element / blockSize), blocks);
            const distance = code(flat(whole, element, k)) - code(block + 5);
            return Math.fround(distance * (stored[block] as number));
          });
          expect([...found].map((x) => x + 0)).toEqual(expected.map((x) => x + 0));
        }
      },
    ),
  );
});
