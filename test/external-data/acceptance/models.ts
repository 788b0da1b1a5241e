/** Models of one Add for the acceptance matrix: `y = x + w`, with `w` in external data wherever a case wants it. */

import { DType } from '../../../src/dtypes.ts';
import type { ExternalEntry } from '../../../src/external-data/reference.ts';
import { onnx } from '../../../src/proto/onnx.ts';
import type { Workspace } from '../workspace.ts';

/** Elements of `w`: enough for it to be external data in what is written, too. */
export const COUNT = 512;
export const BYTES = 4 * COUNT;

/** Whole numbers from `first` on, as the contents of a data file. */
export function numbers(first = 1, count = COUNT): Buffer {
  return Buffer.from(Float32Array.from({ length: count }, (_, i) => first + i).buffer);
}

/** The three entries every exporter writes. */
export function reference(
  location = 'w.data',
  offset: number | string = 0,
  length: number | string = BYTES,
): ExternalEntry[] {
  return entries({ location, offset, length });
}

/** Entries in the order given. */
export function entries(...lists: Readonly<Record<string, number | string>>[]): ExternalEntry[] {
  return lists.flatMap((list) =>
    Object.entries(list).map(([key, value]) => ({ key, value: String(value) })),
  );
}

/** A tensor in external data. */
export function external(
  externalData: readonly ExternalEntry[],
  fields: onnx.ITensorProto = {},
): onnx.ITensorProto {
  return {
    name: 'w',
    dataType: DType.FLOAT,
    dims: [COUNT],
    dataLocation: 1,
    externalData: [...externalData],
    ...fields,
  };
}

function valueInfo(name: string, elemType: number, dims: readonly number[]): onnx.IValueInfoProto {
  const dim = dims.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

type Graph = onnx.IGraphProto & { node: onnx.INodeProto[]; initializer: onnx.ITensorProto[] };
export type Edit = (graph: Graph, model: onnx.IModelProto) => void;

const FLOATS = valueInfo('y', DType.FLOAT, [COUNT]);

/** A model without nodes whose `x` and `y` have {@link COUNT} floats, to be filled in. */
function emptyModel(edit: Edit): Uint8Array {
  const graph: Graph = {
    name: 'acceptance',
    input: [{ ...FLOATS, name: 'x' }],
    output: [FLOATS],
    node: [],
    initializer: [],
  };
  const model = {
    irVersion: 10,
    opsetImport: [
      { domain: '', version: 21 },
      { domain: 'local', version: 1 },
    ],
    graph,
  };
  edit(graph, model);
  return onnx.ModelProto.encode(model).finish();
}

function add(weight = 'w', output = 'y', input = 'x'): onnx.INodeProto {
  return { opType: 'Add', name: `add_${output}`, input: [input, weight], output: [output] };
}

/** `y = x + w`, `w` an initializer of any type and shape. */
export function addModel(tensor: onnx.ITensorProto): Uint8Array {
  return emptyModel((graph) => {
    const info = (name: string) =>
      valueInfo(name, tensor.dataType ?? 0, (tensor.dims ?? []).map(Number));
    graph.input = [info('x')];
    graph.output = [info('y')];
    graph.node = [add()];
    graph.initializer = [tensor];
  });
}

/** Two tensors, the second of shape `dims`: `y = x + w + w2`. */
export function addTwo(
  first: readonly ExternalEntry[],
  second: readonly ExternalEntry[],
  dims: readonly number[] = [COUNT],
): Uint8Array {
  return emptyModel((graph) => {
    graph.output = [valueInfo('y', DType.FLOAT, dims)];
    graph.node = [add('w', 'z'), add('w2', 'y', 'z')];
    graph.initializer = [external(first), external(second, { name: 'w2', dims: [...dims] })];
  });
}

/** `y = w`, for element types that cannot be added. */
export function identityModel(tensor: onnx.ITensorProto): Uint8Array {
  return emptyModel((graph) => {
    graph.input = [];
    graph.output = [valueInfo('y', tensor.dataType ?? 0, [COUNT])];
    graph.node = [{ opType: 'Identity', name: 'identity', input: ['w'], output: ['y'] }];
    graph.initializer = [tensor];
  });
}

/** `y = x` in another shape, which an external tensor of two int64 states. */
export function reshapeModel(externalData: readonly ExternalEntry[]): Uint8Array {
  return emptyModel((graph) => {
    graph.output = [valueInfo('y', DType.FLOAT, [2, COUNT / 2])];
    graph.node = [{ opType: 'Reshape', name: 'reshape', input: ['x', 'w'], output: ['y'] }];
    graph.initializer = [external(externalData, { dataType: DType.INT64, dims: [2] })];
  });
}

function constant(tensor: onnx.ITensorProto, output = 'w'): onnx.INodeProto {
  const attribute = { name: 'value', type: onnx.AttributeProto.AttributeType.TENSOR, t: tensor };
  return { opType: 'Constant', name: 'constant', output: [output], attribute: [attribute] };
}

function sparse(values: onnx.ITensorProto): onnx.ISparseTensorProto {
  const int64Data = Array.from({ length: COUNT }, (_, i) => i);
  const indices = { name: 'w_indices', dataType: DType.INT64, dims: [COUNT], int64Data };
  return { values, indices, dims: [COUNT] };
}

function branches(tensor: onnx.ITensorProto): onnx.INodeProto[] {
  const type = onnx.AttributeProto.AttributeType.GRAPH;
  const attribute = ['then_branch', 'else_branch'].map((name) => {
    const weight = `w_${name}`;
    const g = {
      name,
      output: [{ ...FLOATS, name }],
      initializer: [{ ...tensor, name: weight }],
      node: [add(weight, name)],
    };
    return { name, type, g };
  });
  const yes = { dataType: DType.BOOL, rawData: Uint8Array.of(1) };
  return [
    constant(yes, 'yes'),
    { opType: 'If', name: 'if', input: ['yes'], output: ['y'], attribute },
  ];
}

function callFunction(body: onnx.IFunctionProto): Edit {
  return (graph, model) => {
    const opsetImport = [{ domain: '', version: 21 }];
    model.functions = [
      { name: 'F', domain: 'local', input: ['x'], output: ['y'], opsetImport, ...body },
    ];
    graph.node = [{ opType: 'F', domain: 'local', name: 'call', input: ['x'], output: ['y'] }];
  };
}

const IDENTITY = { opType: 'Identity', name: 'identity', input: ['x'], output: ['y'] };

/** Where a tensor may sit besides the initializers of the main graph. */
const places = {
  'a Constant node': (tensor) => (graph) => {
    graph.node = [constant(tensor), add()];
  },
  'both branches of an If': (tensor) => (graph) => {
    graph.node = branches(tensor);
  },
  'a function': (tensor) => callFunction({ node: [constant(tensor), add()] }),
  'an If in a function': (tensor) => callFunction({ node: branches(tensor) }),
  'an attribute default of a function': (tensor) => {
    const { TENSOR } = onnx.AttributeProto.AttributeType;
    const attribute = [{ name: 'value', type: TENSOR, refAttrName: 'weight' }];
    const node = [{ opType: 'Constant', output: ['w'], attribute }, add()];
    return callFunction({ attributeProto: [{ name: 'weight', type: TENSOR, t: tensor }], node });
  },
  'a sparse initializer': (tensor) => (graph) => {
    graph.sparseInitializer = [sparse(tensor)];
    graph.node = [add()];
  },
  'a sparse Constant': (tensor) => (graph) => {
    const type = onnx.AttributeProto.AttributeType.SPARSE_TENSOR;
    const attribute = [{ name: 'sparse_value', type, sparseTensor: sparse(tensor) }];
    graph.node = [{ opType: 'Constant', name: 'constant', output: ['w'], attribute }, add()];
  },
  'an initializer nobody reads': (tensor) => (graph) => {
    graph.node = [IDENTITY];
    graph.initializer = [tensor];
  },
  'a function nobody calls': (tensor) => (graph, model) => {
    callFunction({ node: [constant(tensor), add()] })(graph, model);
    graph.node = [IDENTITY];
  },
  'training information': (tensor) => (graph, model) => {
    graph.node = [IDENTITY];
    model.trainingInfo = [{ algorithm: { name: 'training', initializer: [tensor] } }];
  },
} as const satisfies Record<string, (tensor: onnx.ITensorProto) => Edit>;

export type Place = keyof typeof places;
export const PLACES = Object.keys(places) as Place[];

/** A model with the external tensor in one of {@link PLACES}. */
export function placeModel(place: Place, externalData: readonly ExternalEntry[]): Uint8Array {
  return emptyModel(places[place](external(externalData)));
}

/** Writes `m/model.onnx` and the data files beside it; returns the path of the model. */
export function write(
  files: Workspace,
  model: Uint8Array,
  data: Readonly<Record<string, Uint8Array>> = { 'w.data': numbers() },
): string {
  for (const [name, bytes] of Object.entries(data)) files.write(`m/${name}`, bytes);
  return files.write('m/model.onnx', model);
}
