import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { onnx } from '../../src/proto/onnx.ts';

const FLOAT = 1;
const INT64 = 7;
const EXTERNAL = 1;

/** Sizes of the tiny decoder: an embedding table [ROWS, COLUMNS] and a head [COLUMNS, ROWS] of its own, fp32. */
export const ROWS = 96;
export const COLUMNS = 32;
const TABLE_BYTES = ROWS * COLUMNS * 4;

export type Edit = (model: onnx.IModelProto & { graph: onnx.IGraphProto }) => void;

function value(
  name: string,
  type: number,
  dims: readonly (number | string)[],
): onnx.IValueInfoProto {
  const dim = dims.map((size) =>
    typeof size === 'number' ? { dimValue: size } : { dimParam: size },
  );
  return { name, type: { tensorType: { elemType: type, shape: { dim } } } };
}

function external(offset: number, byteLength: number, location: string) {
  return [
    { key: 'location', value: location },
    { key: 'offset', value: String(offset) },
    { key: 'length', value: String(byteLength) },
  ];
}

/** A Gather and a MatMul with external weights, as a serialized model; `edit` spoils it first. */
export function tinyModel(
  edit: Edit = () => undefined,
  rows = ROWS,
  columns = COLUMNS,
): Uint8Array {
  const bytes = rows * columns * 4;
  const model = {
    irVersion: 10,
    producerName: 'onnx-lathe tests',
    opsetImport: [{ domain: '', version: 21 }],
    graph: {
      name: 'tiny',
      input: [value('input_ids', INT64, ['batch', 'sequence'])],
      output: [value('logits', FLOAT, ['batch', 'sequence', rows])],
      node: [
        { opType: 'Gather', name: '/embed', input: ['table', 'input_ids'], output: ['hidden'] },
        { opType: 'MatMul', name: '/head', input: ['hidden', 'weight'], output: ['logits'] },
      ],
      initializer: [
        {
          name: 'table',
          dataType: FLOAT,
          dims: [rows, columns],
          dataLocation: EXTERNAL,
          externalData: external(0, bytes, 'model.onnx.data'),
        },
        {
          name: 'weight',
          dataType: FLOAT,
          dims: [columns, rows],
          dataLocation: EXTERNAL,
          externalData: external(bytes, bytes, 'model.onnx.data'),
        },
      ],
    },
  };
  edit(model);
  return onnx.ModelProto.encode(model).finish();
}

/** The weights of {@link tinyModel}: distinct, finite, none of them alike in table and head. */
export function tinyWeights(): Float32Array {
  return Float32Array.from({ length: (2 * TABLE_BYTES) / 4 }, (_, i) => Math.sin(i * 1.7) / 4);
}

/** Writes the model and its data into `directory`; returns the path of the `.onnx`. */
export function writeTiny(
  directory: string,
  edit?: Edit,
  weights: Float32Array = tinyWeights(),
): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'model.onnx');
  writeFileSync(path, tinyModel(edit));
  writeFileSync(`${path}.data`, new Uint8Array(weights.buffer));
  return path;
}

/** A model of the same form whose weights are zeros in a sparse file, to keep a run busy. */
export function writeLarge(directory: string, rows: number, columns: number): void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'model.onnx');
  writeFileSync(path, tinyModel(undefined, rows, columns));
  const fd = openSync(`${path}.data`, 'w');
  ftruncateSync(fd, 2 * rows * columns * 4);
  // The two tables must differ at the end, so that a comparison reads all of them.
  writeSync(fd, Float32Array.of(1), 0, 4, rows * columns * 4 - 4);
  closeSync(fd);
}

/** The reference of the tensor `index` of the graph, to spoil. */
export function setExternal(tensor: onnx.ITensorProto | null | undefined, key: string, to: string) {
  for (const entry of tensor?.externalData ?? []) if (entry.key === key) entry.value = to;
}
