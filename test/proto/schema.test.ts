import { readFileSync } from 'node:fs';
import { onnx as oldOnnx } from 'onnx-proto';
import { describe, expect, test } from 'vitest';
import { decodeModel, encodeModel } from '../../src/proto/codec.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { memoryReader } from '../../src/proto/wire.ts';
import { assemble, bytesOf, elidedPayloads } from './payloads.ts';
import { field, intField } from './wire-builder.ts';

function layout(name: string): Buffer {
  return readFileSync(new URL(`../models/layouts/${name}/model.onnx`, import.meta.url));
}

const layouts = [
  'mobius-llama-tied-f16-default',
  'mobius-gpt2-f16-default',
  'genai-llama-tied-int4-rtn',
  'genai-qwen35-fp16-cuda',
  'dynamo-llama-tied-f16',
];

describe('models of real exporters', () => {
  test.each(layouts)('%s comes back byte for byte', (name) => {
    const bytes = layout(name);
    const source = memoryReader(bytes);
    const decoded = decodeModel(source, name);
    const encoded = encodeModel(decoded.model, elidedPayloads(decoded));
    expect(Buffer.compare(assemble(encoded, decoded, source), bytes)).toBe(0);
  });

  test.each(layouts)('%s reads the same with a schema of IR 8, for what that knows', (name) => {
    const bytes = layout(name);
    const old = oldOnnx.ModelProto.decode(bytes);
    const { model } = decodeModel(memoryReader(bytes), name);
    const nodes = (graph: typeof old.graph | typeof model.graph) =>
      graph?.node?.map(({ name, opType, domain, input, output, attribute }) => [
        name,
        opType,
        domain,
        input,
        output,
        attribute?.map(({ name, type, f, i, ints }) => [name, type, f, `${i}`, `${ints}`]),
      ]);
    expect(nodes(model.graph)).toEqual(nodes(old.graph));
    expect(`${model.irVersion} ${model.producerName}`).toBe(`${old.irVersion} ${old.producerName}`);
    expect(model.graph?.initializer?.map((tensor) => `${tensor.name} ${tensor.dims}`)).toEqual(
      old.graph?.initializer?.map((tensor) => `${tensor.name} ${tensor.dims}`),
    );
  });
});

describe('fields newer than IR 8', () => {
  const model: onnx.IModelProto = {
    irVersion: 14,
    configuration: [{ name: 'two', numDevices: 2, device: ['cpu:0', 'cpu:1'] }],
    functions: [
      {
        name: 'f',
        domain: 'd',
        overload: 'v2',
        attributeProto: [{ name: 'alpha', f: 0.5, type: onnx.AttributeProto.AttributeType.FLOAT }],
        valueInfo: [{ name: 'x', metadataProps: [{ key: 'k', value: 'v' }] }],
        metadataProps: [{ key: 'k', value: 'v' }],
      },
    ],
    graph: {
      metadataProps: [{ key: 'g', value: '1' }],
      initializer: [
        {
          name: 'q',
          dataType: onnx.TensorProto.DataType.INT2,
          dims: [4],
          rawData: Uint8Array.of(0xe4),
          metadataProps: [{ key: 't', value: '2' }],
        },
      ],
      node: [
        {
          opType: 'f',
          domain: 'd',
          overload: 'v2',
          metadataProps: [{ key: 'n', value: '3' }],
          deviceConfigurations: [
            {
              configurationId: 'two',
              pipelineStage: 1,
              shardingSpec: [
                {
                  tensorName: 'q',
                  device: [0, 1],
                  indexToDeviceGroupMap: [{ key: 0, value: [0, 1] }],
                  shardedDim: [
                    { axis: 0, simpleSharding: [{ dimValue: 4, numShards: 2 }] },
                    { axis: 1, simpleSharding: [{ dimParam: 'n', numShards: 2 }] },
                  ],
                },
              ],
            },
          ],
        },
      ],
      input: [{ name: 'o', type: { opaqueType: { domain: 'd', name: 'n' }, denotation: 'x' } }],
    },
  };

  test('survive here and are dropped by the old reader', () => {
    const bytes = onnx.ModelProto.encode(model).finish();
    const { model: read } = decodeModel(memoryReader(bytes), 'new.onnx');
    expect(bytesOf(read)).toEqual(Uint8Array.from(bytes));
    expect(read.graph?.node?.[0]?.overload).toBe('v2');
    const shard = read.graph?.node?.[0]?.deviceConfigurations?.[0]?.shardingSpec?.[0];
    expect(shard?.shardedDim?.[1]?.simpleSharding?.[0]?.dimParam).toBe('n');
    expect(
      oldOnnx.ModelProto.encode(oldOnnx.ModelProto.decode(bytes)).finish().length,
    ).toBeLessThan(bytes.length);
  });
});

describe('presence and packing', () => {
  function roundTrip(bytes: Iterable<number>): Uint8Array {
    const { model } = decodeModel(memoryReader(Uint8Array.from(bytes)), 'test.onnx');
    // Nodes nobody looks at are not decoded, and are written as they came.
    for (const node of model.graph?.node ?? []) expect(node.attribute).toBeDefined();
    return bytesOf(model);
  }

  test('zeros and empty strings that are written stay written', () => {
    const tensor = [...intField(2, 0), ...field(8, ''), ...intField(14, 0)];
    const attribute = [...field(1, ''), ...intField(3, 0), ...intField(20, 0)];
    const node = [...field(1, ''), ...field(2, ''), ...field(3, ''), ...field(5, attribute)];
    const graph = [...field(1, node), ...field(2, ''), ...field(5, tensor)];
    const model = [...intField(1, 0), ...field(2, ''), ...field(7, graph)];
    expect(roundTrip(model)).toEqual(Uint8Array.from(model));
  });

  test('ints, floats and dims are written one tag each, typed tensor data packed', () => {
    const attribute = [...intField(8, 1), ...intField(8, -1), 0x3d, 0, 0, 0x80, 0x3f];
    const ordered = [0x3d, 0, 0, 0x80, 0x3f, ...intField(8, 1), ...intField(8, -1)];
    const tensor = [...intField(1, 2), ...intField(1, 3), ...field(5, [1, 2]), ...field(7, [3, 4])];
    const graph = (content: number[]) => [...field(1, field(5, content)), ...field(5, tensor)];
    expect(roundTrip(field(7, graph(attribute)))).toEqual(
      Uint8Array.from(field(7, graph(ordered))),
    );
  });

  test('int64 extremes and enum numbers of the future are kept', () => {
    const attribute = [...intField(3, -(2n ** 63n)), ...intField(20, 99)];
    const tensor = [...intField(1, 2n ** 63n - 1n), ...intField(2, 31), ...intField(14, 7)];
    const graph = [...field(1, field(5, attribute)), ...field(5, tensor)];
    expect(roundTrip(field(7, graph))).toEqual(Uint8Array.from(field(7, graph)));
  });

  test('unknown fields of every wire type are kept, behind the known ones', () => {
    const unknown = [
      ...intField(500, 2n ** 64n - 1n),
      ...[...field(501, 'later')],
      ...[0xb3, 0x1f, ...intField(1, 5), 0xb4, 0x1f], // group 502
      ...[0xbd, 0x1f, 1, 2, 3, 4], // fixed32 503
      ...[0xc1, 0x1f, 1, 2, 3, 4, 5, 6, 7, 8], // fixed64 504
    ];
    const tensor = [...field(8, 'w'), ...unknown];
    const node = [...field(4, 'Op'), ...unknown];
    const graph = [...field(1, node), ...field(5, tensor), ...unknown];
    const model = [...intField(1, 10), ...field(7, graph), ...unknown];
    expect(roundTrip(model)).toEqual(Uint8Array.from(model));
    expect(roundTrip([...unknown, ...intField(1, 10)])).toEqual(
      Uint8Array.from([...intField(1, 10), ...unknown]),
    );
  });
});
