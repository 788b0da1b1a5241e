/** Shapes of the empty state a decoder starts from: caches of no tokens, convolution and recurrent states of zeros. Pure. */

import type { StatePair } from '../anatomy/state-names.ts';
import { PreconditionError } from '../errors.ts';
import type { ValueInfo } from './session.ts';

/** Sizes of attention caches that a graph may leave symbolic, as the exporter's configuration has them. */
export interface DecoderGeometry {
  readonly headSize?: number | undefined;
  readonly keyValueHeads?: number | undefined;
}

/**
 * Number of encoder positions fed where the graph leaves it open: enough for cross attention to have something to
 * look at, small enough to cost nothing.
 */
export const ENCODER_LENGTH = 4;

/** A state with the declarations of its input and, when an output returns it, of that output. */
export interface DeclaredState {
  readonly pair: StatePair;
  readonly past: ValueInfo;
  readonly present: ValueInfo | undefined;
}

/** Words of exporters for a dimension that counts tokens. */
const TOKEN_COUNT = /seq|len|past|time|frame/i;

function batchAxis(shape: ValueInfo['shape'], batchSymbol: string): number {
  const named = batchSymbol === '' ? -1 : shape.indexOf(batchSymbol);
  return named === -1 ? 0 : named;
}

/**
 * Axis that counts cached tokens, or -1 when no symbolic axis does. What grows from past to present is the surest
 * sign; then the name of the symbol; then the place most exporters use, [batch, heads, tokens, head size].
 */
function tokenAxis(state: DeclaredState, batchSymbol: string): number {
  const { past, present } = state;
  const batch = batchAxis(past.shape, batchSymbol);
  const open = [...past.shape.keys()].filter(
    (axis) => axis !== batch && typeof past.shape[axis] === 'string',
  );
  const growing = open.filter((axis) => {
    const after = present?.shape[axis];
    return typeof after === 'string' && after !== past.shape[axis];
  });
  if (growing.length === 1) return growing[0] as number;
  const named = open.filter((axis) => TOKEN_COUNT.test(String(past.shape[axis])));
  if (named.length === 1) return named[0] as number;
  return past.shape.length === 4 && open.includes(2) ? 2 : -1;
}

/** Which size of the model an axis of a cache is, by the layout [batch, heads, tokens, head size]. */
function geometryKey(axis: number, rank: number): keyof DecoderGeometry | undefined {
  if (axis === rank - 1) return 'headSize';
  return rank === 4 && axis === 1 ? 'keyValueHeads' : undefined;
}

/** Sizes that a cache's declaration leaves symbolic, so that they must come from a {@link DecoderGeometry}. */
export function openGeometry(state: DeclaredState, batchSymbol: string): (keyof DecoderGeometry)[] {
  const { pair, past } = state;
  if (pair.role !== 'key' && pair.role !== 'value') return [];
  const settled = [batchAxis(past.shape, batchSymbol), tokenAxis(state, batchSymbol)];
  return past.shape.flatMap((declared, axis) => {
    if (typeof declared === 'number' || settled.includes(axis)) return [];
    return geometryKey(axis, past.shape.length) ?? [];
  });
}

/**
 * Shape of one state before the first token of one sequence: no tokens in a cache of the decoder's own,
 * {@link ENCODER_LENGTH} in one of an encoder's where the graph leaves that open.
 * @param batchSymbol the first dimension of the token ids, '' when it has no name
 * @throws PreconditionError when a cache has a fixed length, or a dimension is symbolic and its size unknown
 */
export function initialStateDims(
  state: DeclaredState,
  batchSymbol: string,
  geometry: DecoderGeometry,
): number[] {
  const { pair, past } = state;
  const isCache = pair.role === 'key' || pair.role === 'value';
  const batch = batchAxis(past.shape, batchSymbol);
  const tokens = isCache ? tokenAxis(state, batchSymbol) : -1;
  if (isCache && pair.scope === 'self' && tokens === -1) {
    throw new PreconditionError(
      'ERR_UNSUPPORTED',
      `input "${past.name}" has shape [${past.shape.join(', ')}]: a cache of fixed length cannot start empty`,
      { hint: 'evaluate an export with a growing KV cache' },
    );
  }
  return past.shape.map((declared, axis) => {
    if (typeof declared === 'number') return declared;
    if (axis === batch) return 1;
    if (axis === tokens) return pair.scope === 'self' ? 0 : ENCODER_LENGTH;
    const key = isCache ? geometryKey(axis, past.shape.length) : undefined;
    const known = key === undefined ? undefined : geometry[key];
    if (known !== undefined) return known;
    throw new PreconditionError(
      'ERR_UNSUPPORTED',
      `input "${past.name}" has shape [${past.shape.join(', ')}] and nothing says how long axis ${axis} is`,
      { hint: 'keep genai_config.json beside the model' },
    );
  });
}
