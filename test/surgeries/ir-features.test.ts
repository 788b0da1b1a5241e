import { expect, it } from 'vitest';
import type { onnx } from '../../src/proto/onnx.ts';
import { BODY, type Edit, metadataProps, tensorOf, typed, useStep } from './ir-version-step.ts';

const run = useStep();

function withNode(change: (node: onnx.INodeProto) => void): Edit {
  return (_, graph) => {
    const [, node] = graph.node ?? [];
    const [branch] = node?.attribute?.[0]?.g?.node ?? [];
    if (branch === undefined) throw new Error('no node');
    change(branch);
  };
}

function withTensor(change: (tensor: onnx.ITensorProto) => void): Edit {
  return (_, graph) => {
    const [tensor] = graph.initializer ?? [];
    if (tensor === undefined) throw new Error('no tensor');
    change(tensor);
  };
}

it.each<[number, string, string, Edit]>([
  [
    5,
    'graph "main"',
    'quantization_annotation',
    (_, graph) => {
      graph.quantizationAnnotation = [{ tensorName: 'w' }];
    },
  ],
  [
    6,
    'graph "main"',
    'a sparse tensor',
    (_, graph) => {
      const values = { name: 's', dataType: 1, dims: [1], floatData: [1] };
      const indices = { dataType: 7, dims: [1], int64Data: [2] };
      graph.sparseInitializer = [{ values, indices, dims: [4] }];
    },
  ],
  [
    6,
    'neg',
    'a sparse tensor',
    withNode((node) => {
      const values = { dataType: 1, dims: [1], floatData: [1] };
      const indices = { dataType: 7, dims: [1], int64Data: [2] };
      node.attribute = [{ name: 's', type: 11, sparseTensor: { values, indices, dims: [4] } }];
    }),
  ],
  [
    7,
    'the model',
    'training_info',
    (proto) => {
      proto.trainingInfo = [{}];
    },
  ],
  [8, 'h', 'a sparse tensor type', typed({ sparseTensorType: { elemType: 1 } })],
  [8, 'h', 'an optional type', typed({ optionalType: { elemType: tensorOf(1) } })],
  [
    8,
    'neg',
    'a type as attribute',
    withNode((node) => {
      node.attribute = [{ name: 'type', type: 13, tp: tensorOf(1) }];
    }),
  ],
  [
    9,
    'w',
    'the element type fp8e5m2',
    withTensor((tensor) => {
      tensor.dataType = 19;
      tensor.rawData = new Uint8Array(4);
    }),
  ],
  [9, 'h', 'the element type fp8e4m3fn', typed(tensorOf(17))],
  [
    9,
    'neg',
    'the element type fp8e4m3fnuz',
    withNode((node) => {
      node.attribute = [{ name: 'to', type: 2, i: 18 }];
    }),
  ],
  [10, 'h', 'the element type int4', typed({ sequenceType: { elemType: tensorOf(22) } })],
  [10, 'h', 'the element type uint4', typed({ mapType: { keyType: 7, valueType: tensorOf(21) } })],
  [
    10,
    'neg',
    'metadata_props',
    withNode((node) => {
      node.metadataProps = metadataProps;
    }),
  ],
  [
    10,
    'neg',
    'an overload',
    withNode((node) => {
      node.overload = 'o';
    }),
  ],
  [
    10,
    'w',
    'metadata_props',
    withTensor((tensor) => {
      tensor.metadataProps = metadataProps;
    }),
  ],
  [
    10,
    'graph "main"',
    'metadata_props',
    (_, graph) => {
      graph.metadataProps = metadataProps;
    },
  ],
  [
    10,
    'x',
    'metadata_props',
    (_, graph) => {
      const [input] = graph.input ?? [];
      if (input) input.metadataProps = metadataProps;
    },
  ],
  [
    11,
    'the model',
    'device configurations',
    (proto) => {
      proto.configuration = [{ name: 'two', numDevices: 2 }];
    },
  ],
  [
    11,
    'neg',
    'device_configurations',
    withNode((node) => {
      node.deviceConfigurations = [{ configurationId: 'two' }];
    }),
  ],
  [11, 'h', 'the element type fp4e2m1', typed(tensorOf(23))],
  [
    12,
    'neg',
    'the element type fp8e8m0',
    withNode((node) => {
      node.attribute = [{ name: 'output_dtype', type: 2, i: 24 }];
    }),
  ],
  [
    13,
    'neg',
    'the element type uint2',
    withNode((node) => {
      node.attribute = [{ name: 'softmax_precision', type: 2, i: 25 }];
    }),
  ],
  [
    13,
    'neg',
    'the element type int2',
    withNode((node) => {
      node.attribute = [{ name: 'type', type: 13, tp: tensorOf(26) }];
    }),
  ],
  [14, 'h', 'the element type fp6e2m3', typed({ sparseTensorType: { elemType: 27 } })],
  [14, 'h', 'the element type fp6e3m2', typed(tensorOf(28))],
])('IR %i is needed where %s has %s', async (version, node, what, edit) => {
  const text = `ir 14\n${BODY}`;
  const lowered = await run(`set-ir-version:version=${Math.max(version, 8)}`, text, edit);
  if (version < 14) {
    expect(lowered.changes).toEqual([`ir_version: IR version 14 is ${Math.max(version, 8)} now`]);
    expect(Number(lowered.written?.irVersion)).toBe(Math.max(version, 8));
  }
  const refused = await run(`set-ir-version:version=${version - 1}`, text, edit);
  expect(refused.changes).toEqual([]);
  expect(refused.declined).toContainEqual(
    expect.stringMatching(
      new RegExp(`^${node}: ${what} came with IR version ${version}; the lowest version for this`),
    ),
  );
});
