import { DType } from '../../../src/dtypes.ts';
import type { onnx } from '../../../src/proto/onnx.ts';
import { type Case, type Edit, floats, info, node, weight } from './case.ts';

/** Adds a tensor that is an output, so that a runtime looks at it. */
function withTensor(tensor: onnx.ITensorProto, dims = tensor.dims ?? []): Edit {
  return (graph) => {
    graph.initializer.push({ name: 'u', ...tensor });
    graph.output.push(info('u', tensor.dataType ?? 0, dims.map(Number)));
  };
}

/** Changes `w`. */
function withWeight(fields: onnx.ITensorProto): Edit {
  return ({ initializer }) => {
    initializer[0] = weight('w', fields);
  };
}

/** `w` with its value in other fields. */
function typed(fields: onnx.ITensorProto): Edit {
  return ({ initializer }) => {
    initializer[0] = { name: 'w', dataType: DType.FLOAT, dims: [2], ...fields };
  };
}

const [UINT32, INT4, INT8] = [12, 22, 3];

/** Dense tensors. */
export const TENSORS: readonly Case[] = [
  {
    name: 'too few bytes',
    edit: withWeight({ rawData: floats(1) }),
    finds: [['error tensor-bytes', 'shape [2] needs 8 bytes, the file holds 4', { tensor: 'w' }]],
    runtime: 'refuses',
  },
  {
    name: 'too many bytes',
    edit: withWeight({ rawData: floats(1, 2, 3) }),
    finds: [['error tensor-bytes']],
    runtime: 'refuses',
  },
  {
    name: 'no value',
    edit: typed({}),
    finds: [['error tensor-bytes', 'shape [2] needs a value, there is none']],
    runtime: 'refuses',
  },
  {
    name: 'numbers in their field',
    edit: typed({ floatData: [1, 2] }),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'too few numbers in their field',
    edit: typed({ floatData: [1] }),
    finds: [['error tensor-bytes', 'shape [2] of fp32 needs 2 entries in float_data, there are 1']],
    runtime: 'refuses',
  },
  {
    name: 'too few numbers, left in the file',
    edit: withTensor({ dataType: DType.FLOAT, dims: [101], floatData: Array(100).fill(1) }),
    finds: [
      ['error tensor-bytes', 'shape [101] of fp32 needs 101 entries in float_data, there are 100'],
    ],
    runtime: 'refuses',
  },
  {
    name: 'numbers in the field of others',
    edit: typed({ int64Data: [1, 2] }),
    finds: [['error tensor-fields', 'is fp32 in int64_data, not in float_data or raw_data']],
    runtime: 'refuses',
  },
  {
    name: 'a value twice',
    edit: withWeight({ floatData: [1, 2] }),
    finds: [['warning tensor-fields', 'has values in raw_data and float_data; raw_data counts']],
    runtime: 'runs',
  },
  {
    name: 'no element type',
    edit: withWeight({ dataType: 0 }),
    finds: [['error tensor-type', 'has no element type']],
    runtime: 'refuses',
  },
  {
    name: 'an element type of tomorrow',
    edit: ({ initializer }) =>
      initializer.push({ name: 'u', dataType: 99, dims: [1], rawData: floats(1) }),
    finds: [['warning tensor-type']],
    runtime: 'refuses',
    difference: 'another version of ONNX Runtime may know it',
  },
  {
    name: 'a negative dimension',
    edit: withWeight({ dims: [-2] }),
    finds: [['error tensor-shape']],
    runtime: 'refuses',
  },
  {
    name: 'dimensions whose product overflows',
    edit: withWeight({ dims: [2 ** 31, 2 ** 31, 2 ** 31] }),
    finds: [['error tensor-shape']],
    runtime: 'refuses',
  },
  {
    name: 'strings in raw_data',
    edit: withTensor({ dataType: DType.STRING, dims: [1], rawData: Buffer.from('a') }),
    finds: [['error tensor-fields', 'has strings in raw_data']],
    runtime: 'refuses',
  },
  {
    name: 'too few strings',
    edit: withTensor({ dataType: DType.STRING, dims: [2], stringData: [Buffer.from('a')] }),
    finds: [
      ['error tensor-bytes', 'shape [2] of string needs 2 entries in string_data, there are 1'],
    ],
    runtime: 'refuses',
  },
  {
    name: 'a scalar, a tensor of nothing, strings, and small types where they belong',
    edit: (graph, model) => {
      withTensor({ name: 'u0', dataType: DType.FLOAT, dims: [], floatData: [1] })(graph, model);
      withTensor({ name: 'u1', dataType: DType.FLOAT, dims: [0] })(graph, model);
      withTensor({ name: 'u2', dataType: DType.STRING, dims: [1], stringData: [floats(1)] })(
        graph,
        model,
      );
      withTensor({ name: 'u3', dataType: INT8, dims: [3], int32Data: [1, 2, 3] })(graph, model);
      withTensor({ name: 'u4', dataType: DType.FLOAT16, dims: [1], int32Data: [1] })(graph, model);
      withTensor({ name: 'u5', dataType: UINT32, dims: [1], uint64Data: [1] })(graph, model);
      for (const [index, name] of ['u0', 'u1', 'u2', 'u3', 'u4', 'u5'].entries()) {
        const added = graph.initializer[index + 1];
        const output = graph.output[index + 1];
        if (added && output) output.name = added.name = name;
      }
    },
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'unsigned numbers in the field of signed ones',
    edit: withTensor({ dataType: UINT32, dims: [1], int32Data: [1] }),
    finds: [['error tensor-fields', 'is uint32 in int32_data, not in uint64_data or raw_data']],
    runtime: 'refuses',
  },
  {
    name: 'half numbers as whole ones',
    edit: withTensor({ dataType: DType.FLOAT16, dims: [1], floatData: [1] }),
    finds: [['error tensor-fields']],
    runtime: 'refuses',
  },
  {
    name: 'four bits, two to an entry',
    edit: withInt4([1, 2]),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'four bits, one to an entry',
    edit: withInt4([1, 2, 3]),
    finds: [['error tensor-bytes', 'shape [3] of int4 needs 2 entries in int32_data, there are 3']],
    runtime: 'refuses',
  },
  {
    name: 'a segment',
    edit: withWeight({ segment: { begin: 0, end: 1 } }),
    finds: [['warning tensor-fields']],
    runtime: 'runs',
  },
  {
    name: 'a Constant of another size than its shape',
    edit: (graph) => {
      const t = { dataType: DType.FLOAT, dims: [3], floatData: [1] };
      const attribute = [{ name: 'value', type: 4, t }];
      graph.node[1] = node('Constant', 'constant', [], ['y'], { attribute });
    },
    finds: [['error tensor-bytes', undefined, { node: 'constant', tensor: 'constant.value' }]],
    runtime: 'refuses',
  },
];

/** A tensor of three int4, cast to floats. */
function withInt4(int32Data: number[]): Edit {
  return (graph) => {
    graph.initializer.push({ name: 'u', dataType: INT4, dims: [3], int32Data });
    const attribute = [{ name: 'to', type: 2, i: DType.FLOAT }];
    graph.node.push(node('Cast', 'cast', ['u'], ['v'], { attribute }));
    graph.output.push(info('v', DType.FLOAT, [3]));
  };
}
