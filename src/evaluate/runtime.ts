/** The optional peer dependency onnxruntime-node, loaded when the first session is opened. */

import { ResourceError } from '../errors.ts';

type OnnxRuntime = typeof import('onnxruntime-node');

/** A tensor as onnxruntime-node has it. */
export type RuntimeTensor = InstanceType<OnnxRuntime['Tensor']>;

/**
 * Loads onnxruntime-node. Throws a ResourceError (`ERR_PEER_MISSING`) when it is not installed or does not load.
 * @param load how the package is imported
 */
export async function loadRuntime(
  load: () => Promise<OnnxRuntime> = () => import('onnxruntime-node'),
): Promise<OnnxRuntime> {
  try {
    const loaded = await load();
    return loaded.InferenceSession === undefined && 'default' in loaded
      ? (loaded.default as OnnxRuntime)
      : loaded;
  } catch (cause) {
    const absent =
      cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND';
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
