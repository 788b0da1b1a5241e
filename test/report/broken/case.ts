/** Small broken models: what `check` finds in each, and what ONNX Runtime does with it. */

import { Tensor } from 'onnxruntime-common';
import { InferenceSession } from 'onnxruntime-node';
import { DType } from '../../../src/dtypes.ts';
import { onnx } from '../../../src/proto/onnx.ts';

export type Graph = onnx.IGraphProto & {
  node: onnx.INodeProto[];
  initializer: onnx.ITensorProto[];
  input: onnx.IValueInfoProto[];
  output: onnx.IValueInfoProto[];
};

export type Edit = (
  graph: Graph,
  model: onnx.IModelProto & { opsetImport: onnx.IOperatorSetIdProto[] },
) => void;

/** A model, and what is said of it. */
export interface Case {
  readonly name: string;
  readonly edit: Edit;
  /** Severity and code of each finding, in order; where and what with it where that is of interest. */
  readonly finds: readonly (readonly [
    kind: string,
    message?: string | undefined,
    where?: object,
  ])[];
  readonly runtime: 'runs' | 'refuses';
  /** Why errors and ONNX Runtime's refusal do not go together. */
  readonly difference?: string;
}

export function floats(...values: number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

/** A tensor of two floats. */
export function weight(name: string, fields: onnx.ITensorProto = {}): onnx.ITensorProto {
  return { name, dataType: DType.FLOAT, dims: [2], rawData: floats(1, 2), ...fields };
}

export function info(
  name: string,
  elemType: number = DType.FLOAT,
  dims: readonly number[] = [2],
): onnx.IValueInfoProto {
  const dim = dims.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

export function node(
  opType: string,
  name: string,
  input: string[],
  output: string[],
  fields: onnx.INodeProto = {},
): onnx.INodeProto {
  return { opType, name, input, output, ...fields };
}

export function identity(input: string, output: string, name = `to_${output}`): onnx.INodeProto {
  return node('Identity', name, [input], [output]);
}

/** `y = Relu(x + w)`, edited, as a serialized model. */
export function brokenModel(edit: Edit): Uint8Array {
  const graph: Graph = {
    name: 'main',
    input: [info('x')],
    output: [info('y')],
    initializer: [weight('w')],
    node: [node('Add', 'add', ['x', 'w'], ['h']), node('Relu', 'relu', ['h'], ['y'])],
  };
  const model = { irVersion: 10, opsetImport: [{ domain: '', version: 21 }], graph };
  edit(graph, model);
  return onnx.ModelProto.encode(model).finish();
}

/** The graph of one branch, which gives `output`. */
export function branch(
  output: string,
  nodes: onnx.INodeProto[],
  fields: onnx.IGraphProto = {},
): onnx.IGraphProto {
  return { name: `branch_${output}`, node: nodes, output: [info(output)], ...fields };
}

/** Makes `y` the result of an If with the branch and one that gives `h`. */
export function withIf(then: onnx.IGraphProto): Edit {
  return (graph) => {
    graph.input.push(info('c', DType.BOOL, [1]));
    const attribute = [
      { name: 'then_branch', type: 5, g: then },
      { name: 'else_branch', type: 5, g: branch('e', [identity('h', 'e')]) },
    ];
    graph.node[1] = node('If', 'if', ['c'], ['y'], { attribute });
  };
}

export function localFunction(fields: onnx.IFunctionProto = {}): onnx.IFunctionProto {
  return {
    ...{ name: 'F', domain: 'local', input: ['p'], output: ['q'] },
    ...{ opsetImport: [{ domain: '', version: 21 }], node: [identity('p', 'q')] },
    ...fields,
  };
}

/** Makes `y` the result of a call of `local.F`. */
export function withFunctions(functions: onnx.IFunctionProto[], call: onnx.INodeProto = {}): Edit {
  return (graph, model) => {
    model.functions = functions;
    model.opsetImport.push({ domain: 'local', version: 1 });
    graph.node[1] = node('F', 'call', ['h'], ['y'], { domain: 'local', ...call });
  };
}

/** Whether ONNX Runtime loads a model and runs it. */
export async function askRuntime(model: Uint8Array): Promise<'runs' | 'refuses'> {
  let session: InferenceSession | undefined;
  try {
    session = await InferenceSession.create(model, {
      executionProviders: ['cpu'],
      logSeverityLevel: 4,
      intraOpNumThreads: 1,
    });
    const feeds = session.inputNames.map((name) => [
      name,
      name === 'c' ? new Tensor('bool', [true], [1]) : new Tensor('float32', [1, 1], [2]),
    ]);
    await session.run(Object.fromEntries(feeds));
    return 'runs';
  } catch {
    return 'refuses';
  } finally {
    await session?.release();
  }
}
