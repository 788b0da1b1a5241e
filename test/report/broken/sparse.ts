import { DType } from '../../../src/dtypes.ts';
import type { onnx } from '../../../src/proto/onnx.ts';
import type { Case, Edit } from './case.ts';

/** Adds a sparse initializer of four elements, one of them set. */
function withSparse(
  sparse: onnx.ISparseTensorProto,
  values: onnx.ITensorProto = {},
  indices: onnx.ITensorProto = {},
): Edit {
  return (graph) => {
    graph.sparseInitializer = [
      {
        dims: [4],
        values: { name: 's', dataType: DType.FLOAT, dims: [1], floatData: [1], ...values },
        indices: { dataType: DType.INT64, dims: [1], int64Data: [2], ...indices },
        ...sparse,
      },
    ];
  };
}

/** Sparse tensors. */
export const SPARSE: readonly Case[] = [
  { name: 'a good one', edit: withSparse({}), finds: [], runtime: 'runs' },
  {
    name: 'one of rank two, an index for each axis',
    edit: withSparse({ dims: [2, 2] }, {}, { dims: [1, 2], int64Data: [0, 1] }),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'more indices than values',
    edit: withSparse({}, {}, { dims: [2], int64Data: [2, 3] }),
    finds: [
      ['error tensor-sparse', 'has indices of shape [2] for 1 values of rank 1', { tensor: 's' }],
    ],
    runtime: 'refuses',
  },
  {
    name: 'no indices',
    edit: withSparse({ indices: null }),
    finds: [['error tensor-sparse', 'has no indices']],
    runtime: 'refuses',
  },
  {
    name: 'no shape',
    edit: withSparse({ dims: [] }),
    finds: [['error tensor-sparse', 'has no shape']],
    runtime: 'refuses',
  },
  {
    name: 'an index beyond the shape',
    edit: withSparse({}, {}, { int64Data: [9] }),
    finds: [['error tensor-sparse', 'has index 9 of 4 elements']],
    runtime: 'refuses',
  },
  {
    name: 'indices of the wrong rank',
    edit: withSparse({ dims: [2, 2] }, {}, { dims: [1, 3], int64Data: [0, 1, 1] }),
    finds: [['error tensor-sparse']],
    runtime: 'refuses',
  },
  {
    name: 'more values than elements',
    edit: withSparse(
      { dims: [1] },
      { dims: [2], floatData: [1, 2] },
      { dims: [2], int64Data: [0, 0] },
    ),
    finds: [['warning tensor-sparse', 'has 2 values for 1 elements']],
    runtime: 'runs',
  },
  {
    name: 'indices of 32 bits',
    edit: withSparse({}, {}, { dataType: DType.INT32, int64Data: [], int32Data: [2] }),
    finds: [['warning tensor-sparse', 'has indices of int32, not int64']],
    runtime: 'runs',
  },
  {
    name: 'no name',
    edit: withSparse({}, { name: null }),
    finds: [['error tensor-sparse', 'has no name, which is that of its values']],
    runtime: 'refuses',
  },
  {
    name: 'the name of an initializer',
    edit: withSparse({}, { name: 'w' }),
    finds: [['error name-duplicate']],
    runtime: 'refuses',
  },
];
