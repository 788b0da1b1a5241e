import { expect, it } from 'vitest';
import { DType } from '../../src/dtypes.ts';
import { Model } from '../../src/model/model.ts';
import { Tensor } from '../../src/model/tensor.ts';
import type { FileRange } from '../../src/model/tensor-data.ts';
import { unshareEmbedded } from '../../src/recipes/embedded-aliases.ts';

const file = { fd: 0, path: 'w.data', byteLength: 4096 };
const range = (byteOffset: number): FileRange => ({
  kind: 'range',
  file,
  byteOffset,
  byteLength: 2048,
});

/** A model whose initializers all read range 0, each by an Identity of its own. */
function modelOf(tensors: Record<string, Tensor>, annotated: readonly string[] = []) {
  const quantizationAnnotation = annotated.map((tensorName) => ({ tensorName }));
  const model = new Model({ graph: { quantizationAnnotation } }, () => ({ kind: 'proto' }));
  for (const [name, tensor] of Object.entries(tensors)) {
    const value = model.graph.createInitializer(name, tensor);
    const node = model.graph.createNode({
      opType: 'Identity',
      name: `read_${name}`,
      inputs: [value],
      outputs: [`${name}_read`],
    });
    model.graph.nodes.push(node);
  }
  return model;
}

const names = (model: Model) => [...model.graph.initializers.keys()];

it('reads one holder where type and shape are the same, and a Reshape of it for another shape', () => {
  const model = modelOf({
    a: Tensor.create(DType.FLOAT16, [32, 32], range(0)),
    b: Tensor.create(DType.FLOAT16, [32, 32], range(0)),
    c: Tensor.create(DType.FLOAT16, [16, 64], range(0)),
    d: Tensor.create(DType.FLOAT16, [32, 32], range(2048)),
  });
  unshareEmbedded(model);
  expect(names(model)).toEqual(['a', 'd', 'c_shape']);
  expect(model.graph.nodes.map(({ opType, inputs }) => [opType, inputs[0]?.name])).toEqual([
    ['Reshape', 'a'],
    ['Identity', 'a'],
    ['Identity', 'a'],
    ['Identity', 'c_view'],
    ['Identity', 'd'],
  ]);
});

it('keeps a tensor of another type: no Reshape gives it', () => {
  const model = modelOf({
    a: Tensor.create(DType.FLOAT16, [32, 32], range(0)),
    b: Tensor.create(DType.BFLOAT16, [32, 32], range(0)),
  });
  unshareEmbedded(model);
  expect(names(model)).toEqual(['a', 'b']);
});

it('keeps a tensor that an annotation names', () => {
  const tensors = {
    a: Tensor.create(DType.FLOAT16, [32, 32], range(0)),
    b: Tensor.create(DType.FLOAT16, [32, 32], range(0)),
  };
  const model = modelOf(tensors, ['b']);
  unshareEmbedded(model);
  expect(names(model)).toEqual(['a', 'b']);
});
