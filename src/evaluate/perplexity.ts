/**
 * Perplexity of a decoder on a text: exp of the mean negative log-likelihood of its tokens.
 *
 * The ids are cut into consecutive windows and the incomplete rest is dropped. Each window is read by itself, from an
 * empty KV cache and without a beginning-of-sequence token, and its tokens 2 to the last are scored.
 */

import { CancelledError, PreconditionError, UsageError } from '../errors.ts';
import { type Decoder, openDecoder } from './decoder.ts';
import { asNumbers, type HostTensor, type Numbers } from './host-tensor.ts';
import { checkedTokens, readTokens } from './tokens.ts';

/** Tokens read at once unless told otherwise. */
export const DEFAULT_WINDOW_TOKENS = 256;

/** What {@link evaluateModel} did so far. */
export interface EvaluationProgress {
  readonly windowsDone: number;
  readonly windows: number;
  /** Perplexity of the windows done. */
  readonly perplexity: number;
}

/** Options of {@link evaluateModel}; exactly one of `tokens` and `tokensPath` is given. */
export interface EvaluateOptions {
  /** Token ids of the text. */
  readonly tokens?: ArrayLike<number>;
  /** File with a JSON array of token ids. */
  readonly tokensPath?: string;
  /** Tokens in a window, at least 2. Default {@link DEFAULT_WINDOW_TOKENS}. */
  readonly windowTokens?: number;
  /** Stop after so many windows. Default: all of the text. */
  readonly maxWindows?: number;
  /** Threads of ONNX Runtime inside one operator. */
  readonly threads?: number;
  /** Called after every window. */
  readonly onProgress?: (progress: EvaluationProgress) => void;
  /** Checked before every window; when aborted a CancelledError is thrown. */
  readonly signal?: AbortSignal;
}

/** Result of {@link evaluateModel}. Likelihoods are in nats. */
export interface PerplexityResult {
  readonly perplexity: number;
  readonly meanNll: number;
  readonly windows: number;
  readonly windowTokens: number;
  readonly scoredTokens: number;
  /** Summed negative log-likelihood of each window's scored tokens. */
  readonly windowNll: readonly number[];
  readonly vocabSize: number;
  /** What a reader of the number has to know, for example that encoder inputs were zeros. */
  readonly notes: readonly string[];
}

/**
 * Perplexity of the decoder in the ONNX file `path` on a text given as token ids, on the CPU. Memory is ONNX
 * Runtime's, which holds the whole model, plus the logits (windowTokens × vocabulary elements) of the few windows
 * that wait for garbage collection.
 * @throws UsageError for wrong options or a text shorter than one window; FormatError for ids outside the
 *   vocabulary; PreconditionError when the model cannot be fed, returns no logits for every position, or scores a
 *   token as NaN; what opening the model throws
 */
export async function evaluateModel(
  path: string,
  options: EvaluateOptions,
): Promise<PerplexityResult> {
  const windowTokens = countOption('windowTokens', options.windowTokens, DEFAULT_WINDOW_TOKENS, 2);
  const maxWindows = countOption('maxWindows', options.maxWindows, Number.MAX_SAFE_INTEGER, 1);
  const where = options.tokensPath ?? 'tokens';
  const tokens = await tokensOf(options, where);
  const windows = Math.min(Math.floor(tokens.length / windowTokens), maxWindows);
  if (windows === 0) {
    throw new UsageError(
      'ERR_OPTION',
      `${where}: ${tokens.length} tokens, less than one window of ${windowTokens}`,
      { hint: 'use a longer text or a smaller window' },
    );
  }
  const decoder = await openDecoder(
    path,
    options.threads === undefined ? {} : { threads: options.threads },
  );
  try {
    if (decoder.plan.vocabSize !== undefined) {
      checkedTokens(tokens.subarray(0, windows * windowTokens), where, decoder.plan.vocabSize);
    }
    return await scoreWindows(decoder, tokens, windows, windowTokens, options);
  } finally {
    await decoder.close();
  }
}

function countOption(name: string, value: number | undefined, otherwise: number, least: number) {
  if (value === undefined) return otherwise;
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError('ERR_OPTION', `${name} is ${value}, not an integer of at least ${least}`);
}

async function tokensOf(options: EvaluateOptions, where: string): Promise<Int32Array> {
  const { tokens, tokensPath } = options;
  if ((tokens === undefined) === (tokensPath === undefined)) {
    throw new UsageError('ERR_OPTION', 'give either tokens or tokensPath');
  }
  return tokens !== undefined ? checkedTokens(tokens, where) : readTokens(tokensPath as string);
}

async function scoreWindows(
  decoder: Decoder,
  tokens: Int32Array,
  windows: number,
  windowTokens: number,
  options: EvaluateOptions,
): Promise<PerplexityResult> {
  const { plan, session } = decoder;
  const windowNll: number[] = [];
  let total = 0;
  let scoredTokens = 0;
  let vocabSize = 0;
  for (let window = 0; window < windows; window++) {
    if (options.signal?.aborted) throw new CancelledError();
    const ids = tokens.subarray(window * windowTokens, (window + 1) * windowTokens);
    const outputs = await decoder.run(ids, [plan.logits]);
    const logits = outputs.get(plan.logits) as HostTensor;
    vocabSize = logits.dims.at(-1) ?? 0;
    const nll = windowLikelihood(logits, ids, `${session.path}, window ${window}`);
    windowNll.push(nll);
    total += nll;
    scoredTokens += windowTokens - 1;
    options.onProgress?.({
      windowsDone: window + 1,
      windows,
      perplexity: Math.exp(total / scoredTokens),
    });
  }
  const meanNll = total / scoredTokens;
  return {
    perplexity: Math.exp(meanNll),
    meanNll,
    windows,
    windowTokens,
    scoredTokens,
    windowNll,
    vocabSize,
    notes: plan.notes,
  };
}

/**
 * Summed negative log-likelihood, in nats, of tokens 2 to the last of one window.
 * @param logits [1, tokens, vocabulary] or [tokens, vocabulary], fp32, fp16 or fp64: row i scores token i+1
 * @param where what an error names as their place
 * @throws PreconditionError when the logits have another type or shape, cover the last position only, or make a
 *   token's likelihood NaN; FormatError when a token is not in the vocabulary
 */
export function windowLikelihood(
  logits: HostTensor,
  tokens: ArrayLike<number>,
  where: string,
): number {
  const vocabSize = checkedVocab(logits, tokens.length, where);
  checkedTokens(tokens, where, vocabSize);
  let sum = 0;
  for (let position = 0; position + 1 < tokens.length; position++) {
    const row = asNumbers(logits, position * vocabSize, (position + 1) * vocabSize);
    const nll = negativeLogLikelihood(row, tokens[position + 1] as number);
    if (Number.isNaN(nll)) {
      throw new PreconditionError(
        'ERR_NON_FINITE',
        `${where}: the logits at position ${position} give NaN`,
        {
          hint: 'the model overflows: look at its weights with inspect, or evaluate an fp32 export',
        },
      );
    }
    sum += nll;
  }
  return sum;
}

function checkedVocab(logits: HostTensor, length: number, where: string): number {
  const [rows, vocabSize] = logits.dims.slice(-2);
  const shape = `logits of shape [${logits.dims.join(', ')}]`;
  if (!logits.type.startsWith('float')) {
    throw new PreconditionError('ERR_DTYPE', `${where}: the logits are ${logits.type}, not float`);
  }
  if (rows === undefined || vocabSize === undefined || logits.data.length !== rows * vocabSize) {
    throw new PreconditionError('ERR_UNSUPPORTED', `${where}: ${shape} are not one row a token`);
  }
  if (rows === length) return vocabSize;
  throw new PreconditionError(
    'ERR_UNSUPPORTED',
    rows === 1
      ? `${where}: the model returns logits of the last position only, ${length - 1} tokens need scores`
      : `${where}: ${shape} do not fit ${length} tokens`,
    { hint: 'evaluate an export that returns logits for every position' },
  );
}

/**
 * -log softmax(row)[target], in doubles with the largest logit taken out first. Infinite when the target's logit is
 * minus infinity, NaN when any logit is NaN or plus infinity.
 */
export function negativeLogLikelihood(row: Numbers, target: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) {
    const logit = row[i] as number;
    if (logit > largest) largest = logit;
  }
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp((row[i] as number) - largest);
  return Math.log(sum) - ((row[target] as number) - largest);
}
