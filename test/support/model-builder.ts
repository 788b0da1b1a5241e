/** Small models as files: built from text, written with embedded or external data, opened, and run. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DType } from '../../src/dtypes.ts';
import { asNumbers, type HostTensor } from '../../src/evaluate/host-tensor.ts';
import { openSession } from '../../src/evaluate/session.ts';
import { type OpenedModel, openModel } from '../../src/external-data/open-model.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { parseModelText, type TextModel } from './model-text.ts';
import { encodeNumbers, type KnownTensor, randomNumbers } from './tensor-values.ts';

/** How {@link writeModel} stores a model. */
export interface WriteModelOptions {
  /** Name of the `.onnx`; default `model.onnx`. */
  readonly name?: string;
  /**
   * The data file of a tensor; `null` keeps everything in the `.onnx`. Default: tensors of 1 KiB and more are in
   * the model's name with `.data` appended.
   */
  readonly data?: ((tensor: string) => string) | null;
  /** Last changes to the messages; payloads are in `raw_data` or external by then. */
  readonly edit?: (proto: onnx.IModelProto, graph: onnx.IGraphProto) => void;
  /** Last changes to the contents of tensors. */
  readonly fill?: Readonly<Record<string, (tensor: KnownTensor) => void>>;
}

const EXTERNAL_FROM = 1024;

function place(model: TextModel, name: string, options: WriteModelOptions): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const fileOf = options.data === undefined ? () => `${name}.data` : options.data;
  for (const [proto, known] of model.payloads) {
    options.fill?.[proto.name ?? '']?.(known);
    if (fileOf === null || known.bytes.byteLength < EXTERNAL_FROM) {
      proto.rawData = known.bytes;
      continue;
    }
    const location = fileOf(proto.name ?? '');
    const before = files.get(location) ?? Buffer.alloc(0);
    const offset = Math.ceil(before.byteLength / 64) * 64;
    const padding = Buffer.alloc(offset - before.byteLength);
    files.set(location, Buffer.concat([before, padding, known.bytes]));
    proto.dataLocation = 1;
    proto.externalData = [
      { key: 'location', value: location },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(known.bytes.byteLength) },
    ];
  }
  return files;
}

/** Writes the model that `text` describes below `directory` and returns the path of its `.onnx`. */
export function writeModel(
  directory: string,
  text: string,
  options: WriteModelOptions = {},
): string {
  const model = parseModelText(text);
  const name = options.name ?? 'model.onnx';
  const files = place(model, name, options);
  options.edit?.(model.proto, model.proto.graph ?? {});
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, onnx.ModelProto.encode(model.proto).finish());
  for (const [location, bytes] of files) {
    mkdirSync(dirname(join(directory, location)), { recursive: true });
    writeFileSync(join(directory, location), bytes);
  }
  return path;
}

/** Writes and opens a model; the caller disposes of it. */
export function openText(
  directory: string,
  text: string,
  options: WriteModelOptions = {},
): OpenedModel {
  return openModel(writeModel(directory, text, options));
}

/** Outputs of one run. */
export type Outputs = ReadonlyMap<string, HostTensor>;

/** Runs a model once in ONNX Runtime with one thread. */
export async function runModel(
  path: string,
  feeds: Readonly<Record<string, HostTensor>>,
): Promise<Outputs> {
  const session = await openSession(path, { threads: 1 });
  try {
    return await session.run(new Map(Object.entries(feeds)));
  } finally {
    await session.close();
  }
}

/** Ids spread over a vocabulary, as an int64 feed of shape [1, count]. */
export function tokenFeed(vocabSize: number, count = 8): HostTensor {
  const ids = Array.from({ length: count }, (_, index) => BigInt((index * 37 + 11) % vocabSize));
  return { type: 'int64', dims: [1, count], data: BigInt64Array.from(ids) };
}

/** Largest difference between two outputs, relative to the largest magnitude of `expected`. */
export function relativeError(actual: HostTensor, expected: HostTensor): number {
  const [a, b] = [asNumbers(actual), asNumbers(expected)];
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let largest = 0;
  for (let index = 0; index < b.length; index++) {
    const difference = Math.abs((a[index] as number) - (b[index] as number));
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, difference);
    largest = Math.max(largest, Math.abs(b[index] as number));
  }
  return worst === 0 ? 0 : worst / largest;
}

/** Something to feed every declared input with: symbols are 4, ids walk through 512, floats are random. */
export async function declaredFeeds(path: string): Promise<Record<string, HostTensor>> {
  const session = await openSession(path, { threads: 1 });
  await session.close();
  return Object.fromEntries(
    session.inputs.map(({ name, type, shape }, index) => {
      const dims = shape.map((dim) => (typeof dim === 'number' ? dim : 4));
      const count = dims.reduce((product, dim) => product * dim, 1);
      const numbers = randomNumbers(count, index + 17);
      if (type === 'int64') {
        const ids = BigInt64Array.from({ length: count }, (_, at) => BigInt((at * 37 + 11) % 512));
        return [name, { type, dims, data: ids }];
      }
      if (type === 'bool') return [name, { type, dims, data: new Uint8Array(count).fill(1) }];
      const bytes = encodeNumbers(type === 'float16' ? DType.FLOAT16 : DType.FLOAT, numbers);
      const data =
        type === 'float16' ? new Uint16Array(bytes.buffer) : new Float32Array(bytes.buffer);
      return [name, { type, dims, data }];
    }),
  );
}
