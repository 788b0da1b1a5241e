/** What a case of the acceptance matrix is, and how onnx-lathe and ONNX Runtime are asked about it. */

import { execFile } from 'node:child_process';
import { readSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ErrorCode } from '../../../src/errors.ts';
import { type OpenedModel, openModel } from '../../../src/external-data/open-model.ts';
import { failure, type Workspace } from '../workspace.ts';
import type { DifferenceName } from './differences.ts';

/** `aborts`: ends the process. */
export type RuntimeVerdict = 'reads' | 'refuses' | 'aborts';

export interface Case {
  /** What is special about the files. */
  readonly name: string;
  /** How the document sums up this case and those like it; default `name`. */
  readonly summary?: string;
  /** Writes the files and returns the path of the `.onnx`. */
  readonly build: (files: Workspace) => string;
  readonly lathe: 'reads' | ErrorCode;
  readonly runtime: RuntimeVerdict;
  /** Why the two differ; a case has one exactly when they do. */
  readonly difference?: DifferenceName;
  /**
   * First of the consecutive numbers that both must find in `w`; default 1, `null` where the model adds no `w` and
   * gives zeros.
   */
  readonly first?: number | null;
  /** First of the numbers in a second tensor, which is added too. */
  readonly second?: number;
  /** Elements of `w` and of the output; default `COUNT`. */
  readonly elements?: number;
  /** What ONNX Runtime makes of the model written by onnx-lathe; default `reads`. */
  readonly written?: RuntimeVerdict;
  readonly warning?: RegExp;
}

/** The cases of one heading of the document. */
export interface CaseGroup {
  readonly heading: string;
  readonly cases: readonly Case[];
}

/** True when both decide alike, whatever the reason for a refusal. */
export function agrees({ lathe, runtime }: Case): boolean {
  return (lathe === 'reads') === (runtime === 'reads');
}

/** What onnx-lathe does with the model at `path`: the model, or the code of its refusal. */
export async function askLathe(path: string): Promise<OpenedModel | ErrorCode> {
  let opened: OpenedModel | undefined;
  const refused = failure(() => {
    opened = openModel(path);
    throw new Error('opened');
  });
  const code = await refused.then(
    (error) => error.code,
    (error: unknown) => (opened === undefined ? Promise.reject(error) : undefined),
  );
  return code ?? (opened as OpenedModel);
}

/** The bytes of the model's weight as onnx-lathe would copy them, as float32. */
export function weightOf({ model }: OpenedModel): Float32Array {
  for (const { name, tensor } of model.tensors()) {
    const { data } = tensor;
    if (!/^w(?:_then_branch)?$/.test(name)) continue;
    if (data.kind === 'inline') return new Float32Array(data.bytes.slice().buffer);
    if (data.kind !== 'range') break;
    const bytes = new Uint8Array(data.byteLength);
    readSync(data.file.fd, bytes, 0, bytes.length, data.byteOffset);
    return new Float32Array(bytes.buffer);
  }
  throw new Error('the model has no weight in a file');
}

function zerosFor({ shape }: { shape: readonly (number | string)[] }): Tensor {
  const dims = shape.map(Number);
  const count = dims.reduce((product, dim) => product * dim, 1);
  return new Tensor('float32', new Float32Array(count), dims);
}

/** Output `y` for `x` = 0, which is the weight, or what ONNX Runtime says when it refuses the model. */
export async function askRuntime(path: string): Promise<Float32Array | string> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(path, {
      executionProviders: ['cpu'],
      logSeverityLevel: 4,
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
    });
  } catch (error) {
    return String(error);
  }
  try {
    const feeds = session.inputMetadata.map((input) => {
      if (!input.isTensor) throw new Error(`${input.name} is no tensor`);
      return [input.name, zerosFor(input)] as const;
    });
    const { y } = await session.run(Object.fromEntries(feeds));
    return y?.data as Float32Array;
  } finally {
    await session.release();
  }
}

const LOAD_AND_RELEASE = `
  const { InferenceSession } = require('onnxruntime-node');
  InferenceSession.create(process.argv[1]).then((session) => session.release());`;

/** The signal that ends a process in which ONNX Runtime loads the model and frees it. */
export async function signalOfRuntime(path: string): Promise<string | undefined> {
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  try {
    await promisify(execFile)(process.execPath, ['-e', LOAD_AND_RELEASE, path], { cwd });
    return undefined;
  } catch (error) {
    return (error as { signal?: string }).signal;
  }
}
