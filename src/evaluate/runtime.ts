/** The optional peer dependency onnxruntime-node, loaded when the first session is opened. */

import { createRequire } from 'node:module';
import { ResourceError } from '../errors.ts';

type OnnxRuntime = typeof import('onnxruntime-node');

/** A tensor as onnxruntime-node has it. */
export type RuntimeTensor = InstanceType<OnnxRuntime['Tensor']>;

/**
 * Loads onnxruntime-node. Throws a ResourceError (`ERR_PEER_MISSING`) when it is not installed or does not load.
 * Not with `import`: compiled code that is kept forgets whose imports it has (cli/kept-code.ts).
 * @param name the package
 * @param load how it is loaded
 */
export async function loadRuntime(
  name = 'onnxruntime-node',
  load: (name: string) => OnnxRuntime = (wanted) => createRequire(import.meta.url)(wanted),
): Promise<OnnxRuntime> {
  try {
    return load(name);
  } catch (cause) {
    const absent = firstLine(cause) === `Cannot find module '${name}'`;
    throw new ResourceError(
      'ERR_PEER_MISSING',
      absent
        ? 'running a model takes onnxruntime-node, which is not installed'
        : `onnxruntime-node is installed but does not load: ${firstLine(cause)}`,
      { hint: 'npm install onnxruntime-node', cause },
    );
  }
}

/** First line of an error's text: ONNX Runtime appends notes and stack traces that help nobody here. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0]?.trim() || 'unknown error';
}
