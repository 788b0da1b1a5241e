import { describe, expect, test } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { decodeModel } from '../../src/proto/codec.ts';
import {
  infoName,
  isExternal,
  isPlainNode,
  peek,
  tapeRecord,
  tensorHeader,
  tensorName,
} from '../../src/proto/deferred.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { bytesOf } from './payloads.ts';
import { field, intField, varint } from './wire-builder.ts';

function decodeGraph(graph: number[]) {
  const bytes = Uint8Array.from(field(7, graph));
  const { model, tape } = decodeModel(memoryReader(bytes), 'test.onnx');
  const encode = () => [...bytesOf(model)];
  return { bytes: [...bytes], graph: model.graph ?? {}, tape, encode };
}

/** A node whose fields are in no writer's order, with an attribute and an unknown field. */
const node = [
  ...field(4, 'MatMul'),
  ...field(5, [...field(1, 'axis'), ...intField(3, 1), ...intField(20, 2)]),
  ...field(200, 'unknown'),
  ...field(1, 'a'),
  ...field(1, ''),
  ...field(2, 'y'),
  ...field(3, 'product'),
  ...field(7, 'ai.onnx'),
];

function externalTensor(...more: number[]): number[] {
  const entry = (key: string, value: string) => field(13, [...field(1, key), ...field(2, value)]);
  return [
    ...field(8, 'w'),
    ...intField(2, 10),
    ...intField(1, 300),
    ...field(1, [...varint(2), ...varint(70_000)]),
    ...intField(14, 1),
    ...entry('location', 'w.data'),
    ...entry('offset', '64'),
    ...more,
  ];
}

describe('a node', () => {
  test('shows its header and is written as it came, in whatever order it was', () => {
    const { bytes, graph, tape, encode } = decodeGraph(field(1, node));
    const [first] = graph.node ?? [];
    const record = first && tapeRecord(first);
    if (first === undefined || record === undefined) throw new Error('no node');
    expect(isPlainNode(first)).toBe(true);
    expect([tape.opType(record), tape.domain(record), tape.name(record)]).toEqual([
      'MatMul',
      'ai.onnx',
      'product',
    ]);
    expect([tape.inputCount(record), tape.outputCount(record)]).toEqual([2, 1]);
    const ids = [tape.input(record, 0), tape.input(record, 1), tape.output(record, 0)];
    expect(ids.map((id) => tape.names.text(id))).toEqual(['a', '', 'y']);
    expect(encode()).toEqual(bytes);
    expect(isPlainNode(first)).toBe(true);
  });

  test('is decoded by the first look at a field, and then shows edits', () => {
    const { graph, encode } = decodeGraph(field(1, node));
    const [first] = graph.node ?? [];
    if (first === undefined) throw new Error('no node');
    expect(first.attribute?.map(({ name }) => name)).toEqual(['axis']);
    expect(isPlainNode(first)).toBe(false);
    first.input?.splice(0, 1, 'b');
    const again = decodeGraph(encode().slice(2)).graph.node?.[0];
    expect(again?.input).toEqual(['b', '']);
    expect(again?.$unknowns).toHaveLength(1);
  });

  test.each([
    ['a tensor', 5],
    ['a graph', 6],
    ['a list of tensors', 10],
    ['a list of graphs', 11],
    ['a sparse tensor', 22],
    ['a list of sparse tensors', 23],
  ])('with %s in an attribute is decoded at once', (_, number) => {
    const { graph } = decodeGraph(field(1, [...node, ...field(5, field(number, []))]));
    expect(graph.node?.map(isPlainNode)).toEqual([false]);
  });

  test('whose outputs come before its inputs is decoded at once', () => {
    const { graph } = decodeGraph(field(1, [...field(2, 'y'), ...field(1, 'a')]));
    expect(graph.node?.map(isPlainNode)).toEqual([false]);
  });

  test('can be looked into without being decoded for good', () => {
    const { bytes, graph, encode } = decodeGraph(field(1, node));
    const [first] = graph.node ?? [];
    if (first === undefined) throw new Error('no node');
    expect(peek(first).attribute?.map(({ name }) => name)).toEqual(['axis']);
    expect(isPlainNode(first)).toBe(true);
    expect(encode()).toEqual(bytes);
    first.name = 'other';
    expect(peek(first).name).toBe('other');
    const made = { name: 'made' };
    expect(peek(made)).toBe(made);
  });

  test('that is damaged where nobody looked yet says so when somebody does', () => {
    const { graph } = decodeGraph(field(1, [...field(4, 'Relu'), ...field(9, [0x0a, 9])]));
    expect(() => graph.node?.[0]?.metadataProps).toThrow(FormatError);
    expect(() => graph.node?.[0]?.metadataProps).toThrow('test.onnx: a part of the graph');
  });
});

describe('a tensor in external data', () => {
  test('shows type, shape and place, and is written as it came', () => {
    const { bytes, graph, encode } = decodeGraph(field(5, externalTensor()));
    const [tensor] = graph.initializer ?? [];
    if (tensor === undefined) throw new Error('no tensor');
    expect(tensorHeader(tensor)).toMatchObject({
      dims: [300, 2, 70_000],
      dataType: 10,
      externalData: [
        { key: 'location', value: 'w.data' },
        { key: 'offset', value: '64' },
      ],
      rawByteLength: 0,
    });
    expect(isExternal(tensor)).toBe(true);
    expect(encode()).toEqual(bytes);
    expect(tensor.dims?.map(Number)).toEqual([300, 2, 70_000]);
    expect(tensorHeader(tensor)).toBeUndefined();
    expect([isExternal(tensor), tensorName(tensor)]).toEqual([true, 'w']);
  });

  test.each([
    ['a dimension of 2^28', intField(1, 2n ** 28n)],
    ['a negative dimension', intField(1, -1n)],
    ['numbers besides', field(4, 'abcd')],
    ['a field of the future', field(77, 'x')],
  ])('is decoded at once with %s', (_, more) => {
    const { graph } = decodeGraph(field(5, externalTensor(...more)));
    expect(graph.initializer?.map(tensorHeader)).toEqual([undefined]);
  });

  test('with a list of dimensions that is cut off is refused when it is looked at', () => {
    const { graph } = decodeGraph(field(5, externalTensor(...field(1, [0x80]))));
    expect(() => graph.initializer?.[0]?.dims).toThrow('test.onnx: a part of the graph');
  });

  test('that turns out not to be external shows what it holds', () => {
    const content = externalTensor(...intField(14, 0), ...field(9, 'abcd'));
    const { bytes, graph, encode } = decodeGraph(field(5, content));
    const [tensor] = graph.initializer ?? [];
    const header = tensor && tensorHeader(tensor);
    expect(header?.externalData).toBeUndefined();
    expect(Buffer.from(header?.rawData() ?? []).toString()).toBe('abcd');
    expect(encode()).toEqual(bytes);
  });

  test('whose value was left out is decoded at once, for its place to be known', () => {
    const { graph } = decodeGraph(field(5, [...field(8, 'w'), ...field(9, new Uint8Array(300))]));
    expect(graph.initializer?.map(tensorHeader)).toEqual([undefined]);
  });
});

test('an entry of value_info shows its name and is written as it came', () => {
  const info = [...field(3, 'words'), ...field(1, 'x'), ...field(2, field(1, intField(1, 1)))];
  const { bytes, graph, encode } = decodeGraph(field(13, info));
  expect(graph.valueInfo?.map(infoName)).toEqual(['x']);
  expect(encode()).toEqual(bytes);
  expect(graph.valueInfo?.[0]?.type?.tensorType?.elemType).toBe(1);
});
