/** Random models with tensors in every place a TensorProto can sit. */

import fc from 'fast-check';
import type { onnx } from '../../src/proto/onnx.ts';

const name = fc.string({ unit: 'grapheme', maxLength: 12 });
const byteLength = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 255, 256, 257, 1023, 1024, 16383, 16384),
  fc.integer({ min: 0, max: 1400 }),
);
const bytes = byteLength.chain((length) =>
  fc.integer().map((seed) => {
    let state = seed | 1;
    return Uint8Array.from({ length }, () => {
      state = Math.imul(state, 1664525) + 1013904223;
      return state >>> 24;
    });
  }),
);
/** Lists short enough to stay and long enough to be left out. Not NaN, whose payload bits numbers do not keep. */
const numbers = <T>(item: fc.Arbitrary<T>) =>
  fc.oneof(fc.array(item, { maxLength: 6 }), fc.array(item, { minLength: 28, maxLength: 80 }));
const unknowns = fc.option(
  fc.constantFrom<Uint8Array[][]>(
    [Uint8Array.of(0xa2, 0x1f, 2, 7, 9)],
    [Uint8Array.of(0xa0, 0x1f, 5)],
  ),
  { nil: undefined, freq: 6 },
);

const tensor: fc.Arbitrary<onnx.ITensorProto> = fc
  .record(
    {
      name,
      dims: fc.array(fc.nat(), { maxLength: 4 }),
      dataType: fc.integer({ min: 0, max: 40 }),
      rawData: bytes,
      floatData: numbers(fc.float({ noNaN: true })),
      doubleData: numbers(fc.double({ noNaN: true })),
      int32Data: fc.array(fc.integer(), { maxLength: 40 }),
      stringData: fc.array(bytes, { maxLength: 2 }),
      docString: name,
      metadataProps: fc.array(fc.record({ key: name, value: name }), { maxLength: 2 }),
      $unknowns: unknowns,
    },
    { requiredKeys: [] },
  )
  .map(defined);

const sparse: fc.Arbitrary<onnx.ISparseTensorProto> = fc
  .record(
    { values: tensor, indices: tensor, dims: fc.array(fc.nat(), { maxLength: 2 }) },
    { requiredKeys: [] },
  )
  .map(defined);

/** Graphs nest three levels deep. */
const nesting = { maxDepth: 3, depthIdentifier: 'graph' };

const { graph, attribute, node } = fc.letrec<{
  graph: onnx.IGraphProto;
  attribute: onnx.IAttributeProto;
  node: onnx.INodeProto;
}>((tie) => ({
  attribute: fc
    .record(
      {
        name,
        t: fc.option(tensor, { nil: undefined }),
        tensors: fc.array(tensor, { maxLength: 2 }),
        sparseTensor: fc.option(sparse, { nil: undefined }),
        sparseTensors: fc.array(sparse, { maxLength: 1 }),
        floats: numbers(fc.float({ noNaN: true })),
        g: fc.option(tie('graph'), { nil: undefined, ...nesting }),
        graphs: fc.oneof(
          nesting,
          fc.constant<onnx.IGraphProto[]>([]),
          fc.array(tie('graph'), { maxLength: 1 }),
        ),
        s: bytes,
        $unknowns: unknowns,
      },
      { requiredKeys: [] },
    )
    .map(defined),
  node: fc
    .record(
      {
        input: fc.array(name, { maxLength: 2 }),
        opType: name,
        attribute: fc.array(tie('attribute'), { maxLength: 2 }),
        $unknowns: unknowns,
      },
      { requiredKeys: [] },
    )
    .map(defined),
  graph: fc
    .record(
      {
        name,
        node: fc.array(tie('node'), { maxLength: 2 }),
        initializer: fc.array(tensor, { maxLength: 3 }),
        sparseInitializer: fc.array(sparse, { maxLength: 1 }),
        $unknowns: unknowns,
      },
      { requiredKeys: [] },
    )
    .map(defined),
}));

/** A model with payloads of all sizes around the threshold. */
export const arbitraryModel: fc.Arbitrary<onnx.IModelProto> = fc
  .record(
    {
      producerName: name,
      graph,
      trainingInfo: fc.array(fc.record({ initialization: graph, algorithm: graph }), {
        maxLength: 1,
      }),
      functions: fc.array(
        fc.record({
          name,
          attributeProto: fc.array(attribute, { maxLength: 1 }),
          node: fc.array(node, { maxLength: 1 }),
        }),
        { maxLength: 1 },
      ),
      $unknowns: unknowns,
    },
    { requiredKeys: ['producerName'] },
  )
  .map(defined);

/** Without properties that are undefined, which the message types do not allow. */
function defined<T extends object>(record: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
