import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outside, sharedStretches } from '../../src/external-data/block-sharing.ts';
import { layOut } from '../../src/external-data/layout.ts';
import type { PlannedWrite } from '../../src/external-data/plan.ts';
import type { SourceFile } from '../../src/model/tensor-data.ts';

const MIB = 2 ** 20;
const BLOCK = 4096;

/** Tensors of one source with dead bytes between them, laid out one after another. */
const output = fc
  .record({
    tensors: fc.array(
      fc.record({
        dead: fc.constantFrom(0, 0, 1, 64, BLOCK, 3 * BLOCK, MIB),
        byteLength: fc.oneof(
          fc.integer({ min: 1, max: 5000 }),
          fc.integer({ min: MIB, max: 3 * MIB }),
        ),
      }),
      { minLength: 1, maxLength: 30 },
    ),
    trailing: fc.constantFrom(0, 1, BLOCK),
    align: fc.constantFrom(undefined, 1, 64, BLOCK, 16 * BLOCK),
  })
  .map(({ tensors, trailing, align }) => {
    const lengths = tensors.map(({ byteLength }) => byteLength);
    const laid = layOut(lengths, { align });
    const source = { fd: 3, path: 'source', byteLength: 0 };
    let position = 0;
    const writes = tensors.map(({ dead, byteLength }, index): PlannedWrite => {
      const byteOffset = laid.byteOffsets[index] ?? 0;
      position = Math.ceil(position / (align ?? 64)) * (align ?? 64) + dead;
      const data = {
        kind: 'range' as const,
        file: source as SourceFile,
        byteOffset: position,
        byteLength,
      };
      position += byteLength;
      return { file: 'x', byteOffset, byteLength, data, tensor: '' };
    });
    source.byteLength = position + trailing;
    return { writes, fileBytes: laid.byteLengths[0] ?? 0, source: source as SourceFile };
  });

describe('shared stretches', () => {
  it('are in order, in blocks, and within both files', () => {
    fc.assert(
      fc.property(output, ({ writes, fileBytes, source }) => {
        let last = 0;
        for (const stretch of sharedStretches(writes, fileBytes)) {
          const { byteOffset, byteLength, sourceOffset } = stretch;
          const end = byteOffset + byteLength;
          const sourceEnd = sourceOffset + byteLength;
          expect(byteOffset).toBeGreaterThanOrEqual(last);
          expect([byteOffset % BLOCK, sourceOffset % BLOCK]).toEqual([0, 0]);
          const isEnd = end === fileBytes && sourceEnd === source.byteLength;
          expect(end % BLOCK === 0 || isEnd).toBe(true);
          expect(end).toBeLessThanOrEqual(fileBytes);
          expect(sourceEnd).toBeLessThanOrEqual(source.byteLength);
          expect(byteLength).toBeGreaterThanOrEqual(MIB);
          last = end;
        }
      }),
    );
  });

  it('consist of bytes that are to be copied from there, and of gaps', () => {
    fc.assert(
      fc.property(output, ({ writes, fileBytes }) => {
        for (const { byteOffset, byteLength, sourceOffset, gaps } of sharedStretches(
          writes,
          fileBytes,
        )) {
          const end = byteOffset + byteLength;
          const inside = writes.filter(
            (write) => write.byteOffset < end && write.byteOffset + write.byteLength > byteOffset,
          );
          for (const { data, byteOffset: at } of inside) {
            expect(data.kind === 'range' && data.byteOffset - at).toBe(sourceOffset - byteOffset);
          }
          const pieces = [...inside, ...gaps].sort((a, b) => a.byteOffset - b.byteOffset);
          let at = pieces[0]?.byteOffset ?? 0;
          expect(at).toBeLessThanOrEqual(byteOffset);
          for (const piece of pieces) {
            expect(piece.byteOffset).toBe(at);
            at += piece.byteLength;
          }
          expect(at).toBeGreaterThanOrEqual(end);
        }
      }),
    );
  });

  it('are the whole file where nothing moves', () => {
    const source = { fd: 3, path: 'source', byteLength: 3 * MIB + 64 };
    const write = (byteOffset: number, byteLength: number): PlannedWrite => ({
      ...{ file: 'x', byteOffset, byteLength, tensor: '' },
      data: { kind: 'range', file: source, byteOffset, byteLength },
    });
    const writes = [write(0, 100), write(128, MIB - 128), write(MIB, 2 * MIB), write(3 * MIB, 64)];
    expect(sharedStretches(writes, source.byteLength)).toEqual([
      {
        source,
        sourceOffset: 0,
        byteOffset: 0,
        byteLength: source.byteLength,
        gaps: [{ byteOffset: 100, byteLength: 28 }],
      },
    ]);
  });

  it('are none where bytes are made, or move by part of a block', () => {
    const source = { fd: 3, path: 'source', byteLength: 4 * MIB };
    const moved: PlannedWrite = {
      ...{ file: 'x', byteOffset: 0, byteLength: MIB, tensor: '' },
      data: { kind: 'range', file: source, byteOffset: 64, byteLength: MIB },
    };
    const made: PlannedWrite = {
      ...{ file: 'x', byteOffset: MIB, byteLength: MIB, tensor: '' },
      data: { kind: 'inline', bytes: new Uint8Array(MIB) },
    };
    expect(sharedStretches([moved, made], 2 * MIB)).toEqual([]);
  });
});

it('outside: what is taken and what is left make up the whole', () => {
  const extents = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 1, max: 20 })), {
      maxLength: 10,
    })
    .map((list) => {
      let at = 0;
      return list.map(([gap, byteLength]) => {
        const byteOffset = at + gap;
        at = byteOffset + byteLength;
        return { byteOffset, byteLength };
      });
    });
  fc.assert(
    fc.property(extents, fc.nat(100), fc.integer({ min: 1, max: 100 }), (taken, start, length) => {
      const rest = outside({ byteOffset: start, byteLength: length }, taken);
      for (let at = start; at < start + length; at++) {
        const holds = ({ byteOffset, byteLength }: { byteOffset: number; byteLength: number }) =>
          at >= byteOffset && at < byteOffset + byteLength;
        expect(rest.filter(holds).length).toBe(taken.some(holds) ? 0 : 1);
      }
      const total = rest.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(total).toBeLessThanOrEqual(length);
    }),
  );
});
