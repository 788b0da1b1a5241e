import fc from 'fast-check';
import { expect, it } from 'vitest';
import { collectRuns, type TensorPayload } from '../../src/external-data/runs.ts';
import type { FileRange, SourceFile } from '../../src/model/tensor-data.ts';

const FILES: readonly SourceFile[] = [3, 4].map((fd) => ({
  fd,
  path: `file-${fd}`,
  byteLength: 1000,
}));

const range: fc.Arbitrary<FileRange> = fc
  .record({
    file: fc.constantFrom(...FILES),
    byteOffset: fc.integer({ min: 0, max: 900 }),
    byteLength: fc.integer({ min: 1, max: 100 }),
  })
  .map((fields) => ({ kind: 'range', ...fields }));

const payloads = fc
  .array(range, { maxLength: 40 })
  .map((list) => list.map((data, index): TensorPayload => ({ data, tensor: `t${index}` })));

/** Bytes of each file that ranges cover. */
function covered(list: readonly FileRange[]): Set<string> {
  const bytes = new Set<string>();
  for (const { file, byteOffset, byteLength } of list) {
    for (let at = 0; at < byteLength; at++) bytes.add(`${file.fd}:${byteOffset + at}`);
  }
  return bytes;
}

function ranges(list: readonly { readonly data: unknown }[]): FileRange[] {
  return list.map(({ data }) => data as FileRange);
}

it('holds every byte that a tensor refers to once, and no other', () => {
  fc.assert(
    fc.property(payloads, (list) => {
      const runs = [...collectRuns(list)];
      const wanted = covered(ranges(list));
      expect(covered(ranges(runs))).toEqual(wanted);
      expect(runs.reduce((sum, run) => sum + run.byteLength, 0)).toBe(wanted.size);
    }),
  );
});

it('keeps every tensor where it is within its run', () => {
  fc.assert(
    fc.property(payloads, (list) => {
      const runs = collectRuns(list);
      expect(runs.payloads).toBe(list.length);
      list.forEach(({ data }, index) => {
        const { run: number, byteOffset, byteLength } = runs.part(index);
        const own = data as FileRange;
        const run = runs.at(number);
        const whole = run.data as FileRange;
        expect(byteLength).toBe(own.byteLength);
        expect(whole.byteLength).toBe(run.byteLength);
        expect(whole.file).toBe(own.file);
        expect(whole.byteOffset + byteOffset).toBe(own.byteOffset);
        expect(byteOffset + own.byteLength).toBeLessThanOrEqual(run.byteLength);
      });
    }),
  );
});

it('lists runs in the order of their files, as these are first met, and offsets', () => {
  fc.assert(
    fc.property(payloads, (list) => {
      const order = [...new Set(ranges(list).map(({ file }) => file))];
      const keys = ranges([...collectRuns(list)]).map(
        ({ file, byteOffset }) => order.indexOf(file) * 10_000 + byteOffset,
      );
      expect(keys).toEqual([...keys].sort((a, b) => a - b));
    }),
  );
});

it('does not depend on the order of tensors of one file', () => {
  const [file] = FILES as [SourceFile];
  const oneFile = fc.array(
    range.map((data): TensorPayload => ({ data: { ...data, file }, tensor: '' })),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(oneFile, (list) => {
      const spans = (of: readonly TensorPayload[]) =>
        ranges([...collectRuns(of)]).map(({ byteOffset, byteLength }) => [byteOffset, byteLength]);
      expect(spans([...list].reverse())).toEqual(spans(list));
    }),
  );
});

it('has each value in memory and each output of a derivation once, made where its source is', () => {
  const source: FileRange = {
    kind: 'range',
    file: FILES[0] as SourceFile,
    byteOffset: 500,
    byteLength: 10,
  };
  const derivation = {
    kernel: 'quantize' as const,
    parameters: {} as never,
    sources: [source] as const,
    outputs: [
      { role: 'codes', byteLength: 5 },
      { role: 'scales', byteLength: 2 },
    ] as never,
  };
  const bytes = { kind: 'inline' as const, bytes: Uint8Array.of(1, 2, 3) };
  const derived = (output: number) => ({ kind: 'derived' as const, derivation, output });
  const before = { ...source, byteOffset: 100 };
  const after = { ...source, byteOffset: 600 };
  const list = [bytes, after, derived(0), derived(1), derived(0), bytes, before];
  const runs = collectRuns(list.map((data, index) => ({ data, tensor: `t${index}` })));
  expect([...runs].map(({ tensor, byteLength }) => [tensor, byteLength])).toEqual([
    ['t6', 10],
    ['t2', 5],
    ['t3', 2],
    ['t1', 10],
    ['t0', 3],
  ]);
  expect(runs.runOf(4)).toBe(runs.runOf(2));
  expect(runs.runOf(5)).toBe(runs.runOf(0));
  expect(() => runs.at(5)).toThrow(RangeError);
});
