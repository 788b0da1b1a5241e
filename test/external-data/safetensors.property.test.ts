import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { entryLabel, entryType } from '../../src/external-data/safetensors.ts';
import { SafetensorsHeader } from '../../src/external-data/safetensors-header.ts';
import {
  headerParts,
  layOutSafetensors,
  type SafetensorsTensors,
} from '../../src/external-data/safetensors-layout.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { type JsonEntry, parseSafetensors, safetensorsBytes } from '../support/safetensors.ts';

const tensor = fc.record({
  name: fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.constantFrom('a"b', 'a\\b', '\u0000', '__padding', 'a'.repeat(300)),
  ),
  rows: fc.integer({ min: 1, max: 40 }),
  columns: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(30_000)),
});

const tensors = fc.uniqueArray(tensor, {
  minLength: 1,
  maxLength: 30,
  selector: ({ name }) => name,
});

const layout = fc.record({
  align: fc.option(fc.constantFrom(1, 2, 64, 4096, 65_536), { nil: undefined }),
  maxFileSize: fc.option(fc.integer({ min: 100_000, max: 3_000_000 }), { nil: undefined }),
});

function describeAll(list: readonly { name: string; rows: number; columns: number }[]) {
  const byteLengths = list.map(({ rows, columns }) => rows * columns * 2);
  const described: SafetensorsTensors = {
    byteLengths,
    labelOf: (index) => {
      const { name, rows, columns } = list[index] as (typeof list)[number];
      return entryLabel(name, entryType(10, [rows, columns], byteLengths[index] as number));
    },
    fillerName: '__padding_',
  };
  return described;
}

describe('files as they are laid out', () => {
  it('have a header that says where everything is, and that readers take', () => {
    fc.assert(
      fc.property(tensors, layout, (list, options) => {
        const described = describeAll(list);
        const series = layOutSafetensors(described, options);
        const { maxFileSize = Number.POSITIVE_INFINITY, align } = options;
        const seen: string[] = [];
        for (const file of series.files) {
          const parts = [...headerParts(described, series, file)];
          let end = 0;
          for (const { byteOffset, data } of parts) {
            expect(byteOffset).toBe(end);
            expect(data.bytes).toHaveLength(data.byteLength);
            end += data.byteLength;
          }
          expect(end).toBe(file.dataStart);
          expect(end % Math.max(4096, align ?? 1)).toBe(0);
          expect(file.byteLength <= maxFileSize || file.last - file.first === 1).toBe(true);
          const bytes = Buffer.concat(
            parts.map(({ data }) => data.bytes),
            file.byteLength,
          );
          const problems: string[] = [];
          const header = new SafetensorsHeader(memoryReader(bytes), (what) => problems.push(what));
          expect(problems).toEqual([]);
          const { entries, metadata } = parseSafetensors(bytes);
          expect(metadata).toEqual({ format: 'onnx' });
          for (let index = file.first; index < file.last; index++) {
            const { name, rows, columns } = list[index] as (typeof list)[number];
            const byteOffset = series.byteOffsets[index] as number;
            const byteLength = described.byteLengths[index] as number;
            const large = align ?? (byteLength >= 2 ** 20 ? 4096 : 256);
            expect(byteOffset % large).toBe(0);
            const begin = byteOffset - file.dataStart;
            const offsets = [begin, begin + byteLength];
            const entry = { dtype: 'F16', shape: [rows, columns], data_offsets: offsets };
            expect(entries.get(name)).toEqual(entry);
            expect(header.find(byteOffset, byteLength)).toMatchObject({ begin, end: offsets[1] });
            seen.push(name);
          }
          const fillers = entries.size - (file.last - file.first);
          expect([...entries.keys()].filter((name) => name.startsWith('__padding_'))).toHaveLength(
            fillers,
          );
        }
        expect(seen).toEqual(list.map(({ name }) => name));
      }),
    );
  });
});

/** What readers take, told in the plainest way from the JSON; undefined for a name that is there twice. */
function isValid(text: string, dataBytes: number): boolean {
  const widths: Record<string, number> = { F32: 4, I8: 1 };
  let header: Record<string, JsonEntry>;
  try {
    header = JSON.parse(text);
  } catch {
    return false;
  }
  let end = 0;
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  const [BEGIN, END] = [0, 1] as const;
  entries.sort(
    ([, { data_offsets: a }], [, { data_offsets: b }]) => a[BEGIN] - b[BEGIN] || a[END] - b[END],
  );
  for (const [, { dtype, shape, data_offsets: offsets }] of entries) {
    const wanted = shape.reduce((product, dim) => product * dim, widths[dtype] ?? Number.NaN);
    if (offsets[0] !== end || offsets[1] - offsets[0] !== wanted) return false;
    end = offsets[1];
  }
  return end === dataBytes;
}

describe('headers of strangers', () => {
  const shape = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });
  const dtype = fc.constantFrom('F32', 'I8');

  it('are judged as by reading the JSON', () => {
    const place = fc.integer({ min: 0, max: 12 });
    const entry = fc.record({
      dtype,
      shape,
      data_offsets: fc.tuple(place, place),
    });
    const contiguous = fc.array(fc.record({ dtype, shape }), { maxLength: 4 }).map((list) => {
      let end = 0;
      return list.map((one) => {
        const begin = end;
        end += one.shape.reduce((product, dim) => product * dim, one.dtype === 'F32' ? 4 : 1);
        return { ...one, data_offsets: [begin, end] as const };
      });
    });
    const lists = fc.oneof(fc.array(entry, { maxLength: 3 }), contiguous);
    fc.assert(
      fc.property(lists, fc.boolean(), fc.integer({ min: 0, max: 3 }), (list, isReversed, more) => {
        const entries = list.map((one, index) => [`t${index}`, one] as const);
        const text = JSON.stringify(Object.fromEntries(isReversed ? entries.reverse() : entries));
        const last = Math.max(0, ...list.map(({ data_offsets: [, end] }) => end));
        const dataBytes = last + (more === 3 ? 1 : 0);
        const problems: string[] = [];
        const bytes = safetensorsBytes(text, Buffer.alloc(dataBytes));
        new SafetensorsHeader(memoryReader(bytes), (what) => problems.push(what));
        expect([text, problems.length === 0]).toEqual([text, isValid(text, dataBytes)]);
      }),
      { numRuns: 300 },
    );
  });

  it('never do worse than be refused, however they are damaged', () => {
    const sound = `{"__metadata__":{"a":"b"},"x\\n":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"I8","shape":[],"data_offsets":[8,9],"z":[{"a":-1.5e3},true]}}  `;
    const edits = fc.array(
      fc.record({
        at: fc.nat(sound.length),
        remove: fc.integer({ min: 0, max: 4 }),
        insert: fc.oneof(
          fc.constantFrom('"', '{', '}', '[', ']', ',', ':', '\\', '0', '-', 'e', ' ', '\\u00'),
          fc.string({ unit: 'binary', maxLength: 3 }),
        ),
      }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(edits, fc.nat(300), (list, cut) => {
        let text = sound;
        for (const { at, remove, insert } of list) {
          text = text.slice(0, at) + insert + text.slice(at + remove);
        }
        const bytes = safetensorsBytes(text, Buffer.alloc(9)).subarray(0, 20 + cut);
        let isRefused = false;
        try {
          new SafetensorsHeader(memoryReader(bytes), () => {
            isRefused = true;
          });
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          isRefused = true;
        }
        // What is accepted is JSON.
        if (!isRefused) expect(() => parseSafetensors(Buffer.from(bytes))).not.toThrow();
      }),
      { numRuns: 1000 },
    );
  });
});
