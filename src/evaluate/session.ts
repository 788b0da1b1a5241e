/**
 * ONNX Runtime behind a narrow door, with its failures worded as this project's errors. Its types do not pass: who
 * uses this project without the peer can still check types.
 */

import { stat } from 'node:fs/promises';
import {
  FormatError,
  fromSystemError,
  hasErrno,
  LatheError,
  PreconditionError,
  ResourceError,
  UsageError,
} from '../errors.ts';
import type { HostTensor, TensorStorage } from './host-tensor.ts';
import { firstLine, loadRuntime, type RuntimeTensor } from './runtime.ts';

/** Declared type and shape of one input or output. Dimensions are numbers or symbols; an unnamed symbol is ''. */
export interface ValueInfo {
  readonly name: string;
  /** ONNX Runtime's name of the element type (`float16`, `int64`, …), or `non-tensor`. */
  readonly type: string;
  /** Empty for a scalar and for a value without a declared shape. */
  readonly shape: readonly (number | string)[];
}

/** An opened model. */
export interface Session {
  readonly path: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /**
   * Runs the model once, on the thread of the caller, and returns the outputs named in `fetch` (all when absent).
   * Throws a PreconditionError with ONNX Runtime's first line when it refuses the feeds or fails.
   */
  run(
    feeds: ReadonlyMap<string, HostTensor>,
    fetch?: readonly string[],
  ): Promise<Map<string, HostTensor>>;
  /** Frees the model's memory. The session cannot be used afterwards. */
  close(): Promise<void>;
}

/** Options of {@link openSession}. */
export interface SessionOptions {
  /** Threads inside one operator; by default ONNX Runtime takes one per physical core. */
  readonly threads?: number;
}

/**
 * Opens an ONNX file on the CPU. Errors are thrown once instead of also being logged to stderr.
 * @param path a `.onnx` file; external data is found beside it
 * @throws UsageError when there is no such file; FormatError when the file or its external data is broken;
 *   PreconditionError when ONNX Runtime has no kernel for it; ResourceError without memory or without the peer
 */
export async function openSession(path: string, options: SessionOptions = {}): Promise<Session> {
  await requireFile(path);
  const ort = await loadRuntime();
  const created = await ort.InferenceSession.create(path, {
    executionProviders: ['cpu'],
    logSeverityLevel: 4,
    interOpNumThreads: 1,
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
  }).catch((error: unknown) => {
    throw loadError(path, error);
  });
  return {
    path,
    inputs: created.inputMetadata.map(valueInfo),
    outputs: created.outputMetadata.map(valueInfo),
    async run(feeds, fetch) {
      try {
        const tensors: Record<string, RuntimeTensor> = {};
        for (const [name, tensor] of feeds) {
          tensors[name] = new ort.Tensor(
            tensor.type as 'float32',
            tensor.data as Float32Array,
            tensor.dims,
          );
        }
        const fetched = await created.run(tensors, [...(fetch ?? created.outputNames)]);
        const outputs = new Map<string, HostTensor>();
        for (const [name, tensor] of Object.entries(fetched)) {
          outputs.set(name, {
            type: tensor.type,
            dims: tensor.dims,
            data: plainStorage(tensor.type, tensor.data as TensorStorage),
          });
        }
        return outputs;
      } catch (error) {
        throw new PreconditionError(
          'ERR_UNSUPPORTED',
          `${path}: ONNX Runtime could not run the model: ${firstLine(error)}`,
          { cause: error },
        );
      }
    },
    close: () => created.release(),
  };
}

async function requireFile(path: string): Promise<void> {
  try {
    if ((await stat(path)).isFile()) return;
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) throw fromSystemError(error, `opening ${path}`);
    throw new UsageError('ERR_NOT_FOUND', `${path}: no such file`, { cause: error });
  }
  throw new UsageError('ERR_NO_MODEL', `${path}: not a file`, { hint: 'name the .onnx file' });
}

interface ValueMetadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

function valueInfo(metadata: ValueMetadata): ValueInfo {
  return {
    name: metadata.name,
    type: metadata.isTensor ? (metadata.type ?? 'non-tensor') : 'non-tensor',
    shape: metadata.shape ?? [],
  };
}

/** Newer Node hands half floats out as Float16Array; here they are bit patterns everywhere. */
function plainStorage(type: string, data: TensorStorage): TensorStorage {
  return type === 'float16' && !(data instanceof Uint16Array)
    ? new Uint16Array(
        (data as ArrayBufferView).buffer,
        (data as ArrayBufferView).byteOffset,
        (data as TensorStorage).length,
      )
    : data;
}

function loadError(path: string, error: unknown): LatheError {
  if (error instanceof LatheError) return error;
  const line = firstLine(error);
  const message = `${path}: ONNX Runtime could not load the model: ${line}`;
  const extras = { cause: error };
  if (/bad_?alloc|failed to allocate/i.test(line)) {
    return new ResourceError('ERR_MEMORY_BUDGET', message, extras);
  }
  if (/protobuf parsing failed/i.test(line))
    return new FormatError('ERR_PROTOBUF', message, extras);
  if (/external data|external_data/i.test(line)) {
    return new FormatError('ERR_EXTERNAL_DATA', message, extras);
  }
  if (/not a registered function|not implemented|implementation for/i.test(line)) {
    return new PreconditionError('ERR_UNSUPPORTED', message, {
      ...extras,
      hint: 'the model may be made for another execution provider or a newer ONNX Runtime',
    });
  }
  if (/unsupported data type/i.test(line)) {
    return new PreconditionError('ERR_DTYPE', message, {
      ...extras,
      hint: 'onnxruntime-node cannot exchange this element type; evaluate an fp16 or fp32 export',
    });
  }
  if (/invalid model|invalid_graph|invalid graph|type error/i.test(line)) {
    return new FormatError('ERR_MODEL', message, extras);
  }
  return new PreconditionError('ERR_UNSUPPORTED', message, extras);
}
