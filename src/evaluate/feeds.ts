/**
 * Feeds for any exported decoder: what to put into each input so that the model reads one window of tokens from an
 * empty state. Decided from the declared names, types and shapes alone. Pure.
 */

import { pairStates, parseStateName } from '../anatomy/state-names.ts';
import { PreconditionError } from '../errors.ts';
import { filled, type HostTensor, zeros } from './host-tensor.ts';
import type { ValueInfo } from './session.ts';
import {
  type DeclaredState,
  type DecoderGeometry,
  ENCODER_LENGTH,
  initialStateDims,
  openGeometry,
} from './state-feeds.ts';

/** How to run one decoder. */
export interface FeedPlan {
  /** Output that holds the scores of the next token, [batch, sequence, vocabulary]. */
  readonly logits: string;
  /** Declared vocabulary of the logits, or undefined when it is symbolic. */
  readonly vocabSize: number | undefined;
  /** What a reader of the results has to know: inputs that were fed a stand-in. */
  readonly notes: readonly string[];
  /**
   * Feeds for one sequence (batch 1) read from the start.
   * @throws PreconditionError when the graph has a fixed shape that `tokens` does not fit
   */
  feedsFor(tokens: ArrayLike<number>): Map<string, HostTensor>;
}

type Feeder = (tokens: ArrayLike<number>) => HostTensor;
type FeederOf = (input: ValueInfo) => Feeder;

const IDS_INPUTS = ['input_ids', 'decoder_input_ids'];

/** Lowest fp16 number: as good as minus infinity in an additive mask, and free of NaN where a row is masked whole. */
const MASKED = -65504;

/** Checks `dims` against the declared shape. An undeclared shape, like that of a scalar, is empty and fits all. */
function fitting(input: ValueInfo, dims: readonly number[]): readonly number[] {
  const { shape } = input;
  const fits =
    shape.length === 0 ||
    (shape.length === dims.length &&
      shape.every((declared, axis) => typeof declared === 'string' || declared === dims[axis]));
  if (fits) return dims;
  throw new PreconditionError(
    'ERR_UNSUPPORTED',
    `input "${input.name}" has shape [${shape.join(', ')}]; one window of tokens needs [${dims.join(', ')}]`,
    { hint: 'evaluate an export with dynamic batch and sequence dimensions' },
  );
}

const ids: FeederOf = (input) => (tokens) =>
  filled(
    input.name,
    input.type,
    fitting(input, [1, tokens.length]),
    (index) => tokens[index] as number,
  );

/** [batch, tokens] of ones; with 3 or 4 dimensions [batch, (heads,) tokens, tokens], causal, additive when float. */
const attentionMask: FeederOf = (input) => (tokens) => {
  const { name, type, shape } = input;
  const length = tokens.length;
  if (shape.length < 3) return filled(name, type, fitting(input, [1, length]), () => 1);
  const additive = type.startsWith('float');
  const [seen, hidden] = additive ? [0, MASKED] : [1, 0];
  const leading = shape.length === 3 ? [1] : [1, 1];
  return filled(name, type, fitting(input, [...leading, length, length]), (index) =>
    index % length <= Math.floor(index / length) ? seen : hidden,
  );
};

/** 0, 1, 2, …: [tokens], [batch, tokens], or one row for each section of a multimodal rotary embedding. */
const positions: FeederOf = (input) => (tokens) => {
  const { name, type, shape } = input;
  const length = tokens.length;
  const sections = shape.length === 3 ? shape[0] : undefined;
  const leading = shape.length === 1 ? [] : typeof sections === 'number' ? [sections, 1] : [1];
  return filled(name, type, fitting(input, [...leading, length]), (index) => index % length);
};

/** One number, whatever the rank: symbolic dimensions are 1. */
function scalar(valueFor: (length: number) => number): FeederOf {
  return (input) => (tokens) => {
    const dims = input.shape.map((declared) => (typeof declared === 'string' ? 1 : declared));
    return filled(input.name, input.type, dims, () => valueFor(tokens.length));
  };
}

/** A stand-in for what an encoder would have said; the first axis is the batch. */
function encoderSide(value: number): FeederOf {
  return (input) => () => {
    const dims = input.shape.map((declared, axis) =>
      typeof declared === 'number' ? declared : axis === 0 ? 1 : ENCODER_LENGTH,
    );
    return filled(input.name, input.type, dims, () => value);
  };
}

/**
 * Inputs known by name. The two lengths follow GroupQueryAttention (`seqlens_k` is the total minus one). As many
 * logits are kept as there are tokens: 0 means "all" to some exporters only.
 */
const FEEDERS = new Map<string, FeederOf>([
  ['input_ids', ids],
  ['decoder_input_ids', ids],
  ['attention_mask', attentionMask],
  ['decoder_attention_mask', attentionMask],
  ['position_ids', positions],
  ['decoder_position_ids', positions],
  ['cache_position', positions],
  ['past_seq_len', scalar((length) => length - 1)],
  ['total_seq_len', scalar((length) => length)],
  ['num_logits_to_keep', scalar((length) => length)],
  ['logits_to_keep', scalar((length) => length)],
  ['use_cache_branch', scalar(() => 0)],
  ['encoder_hidden_states', encoderSide(0)],
  ['encoder_attention_mask', encoderSide(1)],
]);

function findIds(inputs: readonly ValueInfo[]): ValueInfo {
  const found = inputs.find((input) => IDS_INPUTS.includes(input.name));
  if (found !== undefined) return found;
  if (inputs.some((input) => input.name === 'inputs_embeds')) {
    throw new PreconditionError(
      'ERR_UNSUPPORTED',
      'the model takes "inputs_embeds", not token ids: its embedding table is in another file',
      { hint: 'evaluate an export that takes input_ids' },
    );
  }
  const names = inputs.map((input) => `"${input.name}"`).join(', ');
  throw new PreconditionError(
    'ERR_UNSUPPORTED',
    `no input takes token ids (${IDS_INPUTS.join(' or ')}); the inputs are ${names || 'none'}`,
  );
}

function findLogits(outputs: readonly ValueInfo[]): ValueInfo {
  const named = outputs.find((output) => output.name === 'logits');
  if (named !== undefined) return named;
  const alike = outputs.filter(
    (output) =>
      output.type.startsWith('float') &&
      output.shape.length === 3 &&
      parseStateName(output.name) === undefined,
  );
  const only = alike[0];
  if (only !== undefined && alike.length === 1) return only;
  const names = outputs.map((output) => `"${output.name}"`).join(', ');
  throw new PreconditionError(
    'ERR_UNSUPPORTED',
    `no output is named "logits" and ${alike.length} could be it; the outputs are ${names || 'none'}`,
  );
}

/** The states among the inputs, with their declarations. */
function declaredStates(inputs: readonly ValueInfo[], outputs: readonly ValueInfo[]) {
  const byInput = new Map(inputs.map((input) => [input.name, input]));
  const byOutput = new Map(outputs.map((output) => [output.name, output]));
  const states = new Map<string, DeclaredState>();
  for (const pair of pairStates([...byInput.keys()], [...byOutput.keys()])) {
    const past = byInput.get(pair.past) as ValueInfo;
    const present = pair.present === undefined ? undefined : byOutput.get(pair.present);
    states.set(pair.past, { pair, past, present });
  }
  return states;
}

function symbolOf(dimension: number | string | undefined): string {
  return typeof dimension === 'string' ? dimension : '';
}

/** What {@link planFeeds} has to be told: the sizes that some cache of the graph leaves symbolic. */
export function missingGeometry(
  inputs: readonly ValueInfo[],
  outputs: readonly ValueInfo[],
): Set<keyof DecoderGeometry> {
  const batchSymbol = symbolOf(findIds(inputs).shape[0]);
  const states = [...declaredStates(inputs, outputs).values()];
  return new Set(states.flatMap((state) => openGeometry(state, batchSymbol)));
}

/**
 * Decides how to feed a decoder.
 * @param geometry sizes of caches that the graph leaves symbolic
 * @throws PreconditionError when the model is no decoder over token ids, an input is unknown (all such inputs are
 *   named), or a state's shape cannot be decided
 */
export function planFeeds(
  inputs: readonly ValueInfo[],
  outputs: readonly ValueInfo[],
  geometry: DecoderGeometry = {},
): FeedPlan {
  const batchSymbol = symbolOf(findIds(inputs).shape[0]);
  const logits = findLogits(outputs);
  const states = declaredStates(inputs, outputs);
  const feeders = new Map<string, Feeder>();
  const unknown: string[] = [];
  const standIns: string[] = [];
  for (const input of inputs) {
    const state = states.get(input.name);
    const feederOf = FEEDERS.get(input.name);
    if (state !== undefined) {
      const dims = initialStateDims(state, batchSymbol, geometry);
      feeders.set(input.name, () => zeros(input.name, input.type, dims));
      if (state.pair.scope === 'cross') standIns.push(input.name);
    } else if (feederOf !== undefined) {
      feeders.set(input.name, feederOf(input));
      if (input.name.startsWith('encoder_')) standIns.push(input.name);
    } else {
      unknown.push(input.name);
    }
  }
  if (unknown.length > 0) {
    const names = unknown.map((name) => `"${name}"`).join(', ');
    throw new PreconditionError('ERR_UNSUPPORTED', `no rule says how to feed ${names}`, {
      details: { inputs: unknown },
    });
  }
  const vocabSize = logits.shape.at(-1);
  return {
    logits: logits.name,
    vocabSize: typeof vocabSize === 'number' ? vocabSize : undefined,
    notes: standInNotes(standIns),
    feedsFor(tokens) {
      const feeds = new Map<string, HostTensor>();
      for (const [name, feed] of feeders) feeds.set(name, feed(tokens));
      return feeds;
    },
  };
}

function standInNotes(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const first = `"${names[0]}"`;
  const subject = names.length === 1 ? `${first} is` : `${first} and ${names.length - 1} more are`;
  return [`${subject} fed a stand-in for an encoder: the model runs, but its scores mean little`];
}
