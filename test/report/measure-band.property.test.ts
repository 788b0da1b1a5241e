import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ErrorSum, unpackError } from '../../src/kernels/measure.ts';
import { measureTile } from '../../src/kernels/measure-weight.ts';
import { loadNative, type NativeBand, type NativeOperand } from '../../src/native.ts';
import { bandReader } from '../../src/report/weight-operand.ts';

const addon = loadNative();

const number = fc.oneof(
  fc.float({ min: -4, max: 4, noNaN: true }),
  fc.constantFrom(0, 1e-38, 1e30, Number.NaN, Number.POSITIVE_INFINITY),
);

/** Numbers of a matrix of `channels` x `count`, in either order. */
function numbers(array: (length: number) => Float32Array | Int8Array | Uint8Array) {
  return (channels: number, count: number, transposed: boolean) => ({
    numbers: array(channels * count),
    ...(transposed ? { channelPitch: 1, pitch: channels } : { channelPitch: count, pitch: 1 }),
  });
}

const band = fc
  .record({
    channels: fc.integer({ min: 1, max: 40 }),
    elements: fc.integer({ min: 1, max: 150 }),
    blockSize: fc.constantFrom(16, 32, 128),
    codeBlockSize: fc.constantFrom(16, 24, 64),
    offset: fc.nat(15),
    transposed: fc.boolean(),
    codes: fc.constantFrom('signed', 'unsigned'),
    hasZeroPoints: fc.boolean(),
    floats: fc.array(number, { minLength: 7, maxLength: 31 }),
    first: fc.nat(1 << 20),
  })
  .map(({ channels, elements, blockSize, codeBlockSize, offset, transposed, ...rest }) => {
    const { codes, hasZeroPoints, floats, first } = rest;
    const float = numbers((length) =>
      Float32Array.from({ length }, (_, i) => floats[i % floats.length] ?? 0),
    );
    const code = numbers((length) =>
      codes === 'signed'
        ? Int8Array.from({ length }, (_, i) => (i * 7) % 16)
        : Uint8Array.from({ length }, (_, i) => (i * 11) % 256),
    );
    const exact: NativeOperand = { values: float(channels, elements, transposed) };
    const blocks = Math.ceil((offset + elements) / codeBlockSize);
    const found: NativeOperand = {
      values: code(channels, elements, !transposed),
      blocks: {
        blockSize: codeBlockSize,
        offset,
        scales: float(channels, blocks, transposed),
        zeroPoint: 3,
        ...(hasZeroPoints && { zeroPoints: code(channels, blocks, transposed) }),
      },
    };
    return { exact, found, channels, elements, blockSize, first, channelStride: 1000 };
  });

test('a band of floats is no different from itself', () => {
  fc.assert(
    fc.property(band, ({ exact, found: _, ...place }) => {
      const sum = new ErrorSum();
      measureTile(bandReader(exact), bandReader(exact), place, sum);
      const { error, nonFinite } = unpackError(sum.pack());
      expect([error, nonFinite]).toEqual([0, 0]);
    }),
  );
});

if (addon !== undefined) {
  test.each(addon.info().supported)('%s measures a band like the reference', (isa) => {
    fc.assert(
      fc.property(band, ({ exact, found, ...place }) => {
        const sum = new ErrorSum();
        measureTile(bandReader(exact), bandReader(found), place, sum);
        const packed = new ErrorSum();
        const fields = addon.measureBand({ isa, exact, found, ...place });
        packed.addPacked(fields);
        expect(packed.pack()).toEqual(sum.pack());
      }),
    );
  });

  const floats = { numbers: new Float32Array(32), channelPitch: 16, pitch: 1 };
  const good: NativeBand = {
    isa: 'plain',
    exact: { values: floats },
    found: { values: floats },
    channels: 2,
    elements: 16,
    blockSize: 16,
    first: 0,
    channelStride: 16,
  };

  test.each<[string, Partial<NativeBand>]>([
    ['isa', { isa: 'mmx' }],
    ['extent', { channels: 0 }],
    ['extent', { channelStride: -1 }],
    ['blockSize', { blockSize: 24 }],
    ['values', { elements: 17 }],
    ['values', { found: { values: { ...floats, pitch: -1 } } }],
    ['values', { found: { values: { ...floats, numbers: new Uint8Array(32) } } }],
    [
      'blocks',
      {
        found: {
          values: floats,
          blocks: { blockSize: 16, offset: 16, scales: floats, zeroPoint: 0 },
        },
      },
    ],
    [
      'scales',
      {
        found: {
          values: floats,
          blocks: {
            blockSize: 1,
            offset: 0,
            scales: { ...floats, channelPitch: 17 },
            zeroPoint: 0,
          },
        },
      },
    ],
  ])('a band with wrong %s is refused', (what, change) => {
    expect(() => addon.measureBand({ ...good, ...change })).toThrow(
      expect.objectContaining({ code: 'ERR_NATIVE_ARGUMENT', message: what }),
    );
  });

  const bytes = Uint8Array.of(0x1b, 0xe4);
  test('codes are unpacked from any element on', () => {
    const signed = new Int8Array(3);
    addon.unpackNumbers('plain', { kind: 'code', bits: 4, isSigned: true }, bytes, 1, signed);
    expect([...signed]).toEqual([1, 4, -2]);
    const pairs = new Uint8Array(5);
    addon.unpackNumbers('plain', { kind: 'code', bits: 2, isSigned: false }, bytes, 2, pairs);
    expect([...pairs]).toEqual([1, 0, 0, 1, 2]);
  });

  test('more elements than there are bytes for are refused', () => {
    const format = { kind: 'code', bits: 4, isSigned: false } as const;
    expect(() => addon.unpackNumbers('plain', format, bytes, 1, new Uint8Array(4))).toThrow(
      'bytes',
    );
    const floats16 = { kind: 'float', type: 10 } as const;
    expect(() => addon.unpackNumbers('plain', floats16, bytes, 0, new Float32Array(2))).toThrow(
      'bytes',
    );
  });
}
