/** A decoder opened for running: a session, and how to feed it. */

import { LatheError, PreconditionError } from '../errors.ts';
import { type FeedPlan, missingGeometry, planFeeds } from './feeds.ts';
import { readDecoderGeometry } from './genai-config.ts';
import type { HostTensor } from './host-tensor.ts';
import { openSession, type Session, type SessionOptions } from './session.ts';
import type { DecoderGeometry } from './state-feeds.ts';

/** An opened decoder. */
export interface Decoder {
  readonly session: Session;
  readonly plan: FeedPlan;
  /**
   * Reads `tokens` from an empty state, batch 1, and returns the outputs named in `fetch` (all when absent).
   * @throws PreconditionError when the model does not take such a window or fails while running
   */
  run(tokens: ArrayLike<number>, fetch?: readonly string[]): Promise<Map<string, HostTensor>>;
  close(): Promise<void>;
}

/**
 * Head sizes tried, most common first, when the graph leaves the head size open and no `genai_config.json` says it.
 * A wrong one is refused by the attention operators.
 */
const HEAD_SIZES = [64, 128, 256, 96, 80, 32, 16, 112, 72, 48, 160, 192, 512, 8];

/**
 * Opens the decoder in an ONNX file on the CPU.
 * @throws what {@link openSession} throws, and PreconditionError when the model is not a decoder over token ids that
 *   can be fed
 */
export async function openDecoder(path: string, options: SessionOptions = {}): Promise<Decoder> {
  const session = await openSession(path, options);
  try {
    const plan = await planFor(session);
    return {
      session,
      plan,
      run: (tokens, fetch) => session.run(plan.feedsFor(tokens), fetch),
      close: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error instanceof PreconditionError ? located(path, error) : error;
  }
}

async function planFor(session: Session): Promise<FeedPlan> {
  const { inputs, outputs, path } = session;
  const missing = missingGeometry(inputs, outputs);
  if (missing.size === 0) return planFeeds(inputs, outputs);
  const geometry = await readDecoderGeometry(path);
  return missing.has('headSize') && geometry.headSize === undefined
    ? probeHeadSize(session, geometry)
    : planFeeds(inputs, outputs, geometry);
}

async function probeHeadSize(session: Session, known: DecoderGeometry): Promise<FeedPlan> {
  let refusal: unknown;
  for (const headSize of HEAD_SIZES) {
    const plan = planFeeds(session.inputs, session.outputs, { ...known, headSize });
    try {
      await session.run(plan.feedsFor([0, 0]), [plan.logits]);
      return plan;
    } catch (error) {
      if (!(error instanceof LatheError)) throw error;
      refusal ??= error;
    }
  }
  throw new PreconditionError(
    'ERR_UNSUPPORTED',
    `the graph leaves the head size of its KV cache open and none of ${HEAD_SIZES.join(', ')} runs`,
    { hint: 'keep genai_config.json beside the model', cause: refusal },
  );
}

/** The same error with the file's name in front: planning knows declarations, not files. */
function located(path: string, error: PreconditionError): PreconditionError {
  if (error.message.startsWith(path)) return error;
  return new PreconditionError(error.code, `${path}: ${error.message}`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    details: error.details,
    cause: error,
  });
}
