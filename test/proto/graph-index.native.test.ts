import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type GraphIndex,
  indexInTypeScript,
  indexNatively,
  type ListFields,
} from '../../src/proto/graph-index.ts';
import { NodeTape } from '../../src/proto/headers.ts';
import { NameTable } from '../../src/proto/name-table.ts';
import { tokenPrefix } from '../../src/proto/token.ts';
import { field, intField, rawField } from './wire-builder.ts';

const GRAPH: ListFields = [1, 5, 11, 12, 13];
const FUNCTION: ListFields = [7, 0, 0, 0, 12];

const name = fc.oneof(
  fc.constantFrom('', 'x', 'y', 'layers.0.weight', 'layers.1.weight'),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
);
const entry = (number: number) => name.map((text) => field(number, text));
const token = fc
  .integer({ min: 0, max: 24 })
  .map((length) => field(9, [...tokenPrefix(), ...new Uint8Array(length)]));
const other: fc.Arbitrary<number[]> = fc.oneof(
  fc.integer({ min: 1, max: 300 }).map((number) => intField(number, 300n)),
  fc.integer({ min: 1, max: 40 }).map((number) => field(number, [8, 1])),
  fc.integer({ min: 1, max: 40 }).map((number) => [...rawField(number, 1), ...new Uint8Array(8)]),
  fc.integer({ min: 1, max: 40 }).map((number) => [...rawField(number, 5), ...new Uint8Array(4)]),
  fc.constant<number[]>([...rawField(99, 3), ...rawField(99, 4)]),
);
const fields = (...of: fc.Arbitrary<number[]>[]) =>
  fc.array(fc.oneof(...of), { maxLength: 8 }).map((parts) => parts.flat());

const attribute = fields(
  entry(1),
  fc.constantFrom(2, 3, 4, 7, 8).map((number) => field(number, 'abcd')),
  fc.constantFrom(5, 6, 10, 11, 22, 23).map((number) => field(number, [])),
).map((content) => field(5, content));
const plainAttribute = fields(entry(1), entry(4)).map((content) => field(5, content));
const node = fc
  .tuple(
    fc.array(entry(1), { maxLength: 4 }),
    fc.array(entry(2), { maxLength: 3 }),
    fields(entry(3), entry(4), entry(7), plainAttribute),
  )
  .map((parts) => parts.flat(2));
const anyNode = fields(entry(1), entry(2), entry(3), entry(4), entry(7), attribute, other);
const tensor = fields(
  entry(8),
  fc.nat().map((dim) => intField(1, BigInt(dim))),
  fc.constant(intField(2, 1n)),
  fc.constant(field(9, 'abcd')),
  entry(12),
  token,
);
const anyTensor = fields(entry(8), token, other);
const info = fields(entry(1), entry(3));
const anyInfo = fields(entry(1), other);

/** Bytes of a message whose lists have these fields: one such as writers make, or any. */
function message([nodes, tensors, inputs, outputs, infos]: ListFields): fc.Arbitrary<number[]> {
  const list = (number: number, content: fc.Arbitrary<number[]>) =>
    content.map((bytes) => field(number || 100, bytes));
  return fc
    .array(
      fc.oneof(
        { weight: 4, arbitrary: list(nodes, node) },
        list(nodes, anyNode),
        list(tensors, tensor),
        list(tensors, anyTensor),
        list(inputs, info),
        list(outputs, anyInfo),
        list(infos, anyInfo),
        entry(2),
        other,
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.flat());
}

interface Indexed {
  readonly index: GraphIndex | undefined;
  readonly tape: NodeTape;
  readonly error?: unknown;
}

/** What is seen of an index: the records and places, and the names by number. */
function seen({ index, tape, error }: Indexed) {
  if (index === undefined) return { isRefused: error !== undefined };
  return {
    at: index.at,
    counts: [...index.counts],
    others: [...index.others],
    tape: [...tape.data.subarray(0, tape.length)],
    names: Array.from({ length: tape.names.size }, (_, id) => tape.names.peek(id)),
    found: Array.from({ length: tape.names.size }, (_, id) => tape.names.find(tape.names.peek(id))),
  };
}

/** Indexes `bytes` between others, twice, so that the second time finds names. */
function run(
  bytes: Uint8Array,
  lists: ListFields,
  index: (tape: NodeTape, start: number, end: number, fields: ListFields) => GraphIndex | undefined,
): Indexed {
  const buffer = Buffer.concat([Buffer.from('front'), bytes, Buffer.from('back')]);
  const tape = new NodeTape(new NameTable(buffer), 'test.onnx');
  const end = 5 + bytes.length;
  try {
    return { index: index(tape, 5, end, lists) && index(tape, 5, end, lists), tape };
  } catch (error) {
    return { index: undefined, tape, error };
  }
}

describe('the addon finds what TypeScript finds', () => {
  test.each([
    ['a graph', GRAPH],
    ['a function', FUNCTION],
  ])('in %s', (_, lists) => {
    let natively = 0;
    fc.assert(
      fc.property(message(lists), (parts) => {
        const bytes = Uint8Array.from(parts);
        const native = run(bytes, lists, indexNatively);
        const script = run(bytes, lists, indexInTypeScript);
        expect(script.error).toBeUndefined();
        if (native.index === undefined) return;
        natively++;
        expect(seen(native)).toEqual(seen(script));
      }),
      { numRuns: 400 },
    );
    // The others have a group somewhere.
    expect(natively).toBeGreaterThan(100);
  });

  test('in bytes that were damaged, or refuses them and leaves the tables as they were', () => {
    let refused = 0;
    fc.assert(
      fc.property(
        message(GRAPH),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
        fc.nat({ max: 20 }),
        (parts, changes, cut) => {
          const bytes = Uint8Array.from(parts.slice(0, Math.max(1, parts.length - cut)));
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const native = run(bytes, GRAPH, indexNatively);
          if (native.index !== undefined) {
            expect(seen(native)).toEqual(seen(run(bytes, GRAPH, indexInTypeScript)));
            return;
          }
          refused++;
          const { names } = native.tape;
          expect([names.size, native.tape.length]).toEqual([1, 0]);
          expect(names.arrays?.slots.every((id) => id === 0)).toBe(true);
        },
      ),
      { numRuns: 600 },
    );
    expect(refused).toBeGreaterThan(50);
  });

  test('of ten thousand names', () => {
    const nodes = Array.from({ length: 10_000 }, (_, i) =>
      field(1, [...field(1, `value ${i}`), ...field(2, `value ${i + 1}`), ...field(4, 'Relu')]),
    );
    const bytes = Uint8Array.from(nodes.flat());
    const native = run(bytes, GRAPH, indexNatively);
    expect(native.tape.names.size).toBe(10_003);
    expect(seen(native)).toEqual(seen(run(bytes, GRAPH, indexInTypeScript)));
  });

  test('and takes names back out of the tables when a later part is damaged', () => {
    const good = [...field(1, [...field(1, 'a'), ...field(2, 'b')])];
    const many = Array.from({ length: 3000 }, (_, i) => field(1, field(1, `n${i}`))).flat();
    const buffer = Buffer.from([...good, ...many, 0x0a, 99]);
    const tape = new NodeTape(new NameTable(buffer), 'test.onnx');
    expect(indexNatively(tape, 0, good.length, GRAPH)).toBeDefined();
    const before = { slots: [...(tape.names.arrays?.slots ?? [])], length: tape.length };
    expect(indexNatively(tape, 0, buffer.length, GRAPH)).toBeUndefined();
    expect([tape.names.size, tape.length]).toEqual([3, before.length]);
    expect([...(tape.names.arrays?.slots ?? [])]).toEqual(before.slots);
    expect(tape.names.find('b')).toBe(2);
    expect(tape.names.find('n1')).toBeUndefined();
  });
});
