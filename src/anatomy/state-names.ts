/**
 * Names of the state a decoder carries from one run to the next: attention caches, convolution windows and
 * recurrent states. An input holds the past, an output the present. Nothing is assumed about which layers have
 * which state: hybrid models keep caches on a few layers only, with heads and sizes of their own. Pure.
 */

/** What a state tensor is: half of an attention cache, a causal convolution's window, or a recurrence. */
export type StateRole = 'key' | 'value' | 'conv' | 'recurrent';

/** Whose tokens a cache holds: the decoder's own (`self`) or those of an encoder (`cross`). */
export type AttentionScope = 'self' | 'cross';

/** What a state name says. */
export interface StateName {
  readonly direction: 'past' | 'present';
  readonly role: StateRole;
  /** Always `self` for convolution and recurrent states. */
  readonly scope: AttentionScope;
  /** Number written in the name. */
  readonly layer: number;
}

/** One state of one layer. `present` is undefined when no output returns it, as for most cross-attention caches. */
export interface StatePair {
  readonly past: string;
  readonly present: string | undefined;
  readonly role: StateRole;
  readonly scope: AttentionScope;
  readonly layer: number;
}

interface StateFormat {
  readonly past: string;
  readonly present: string;
  readonly role: StateRole;
  readonly scope: AttentionScope;
}

function format(past: string, present: string, role: StateRole, scope: AttentionScope = 'self') {
  return { past, present, role, scope } satisfies StateFormat;
}

/**
 * Names in use, `%d` standing for the layer. mobius, genai and optimum: `past_key_values.%d.…`; optimum
 * sequence-to-sequence: `.decoder.`/`.encoder.`; genai Whisper: `_self_`/`_cross_`; exports for QNN: `past_key_%d`;
 * transformers.js hybrids: `past_conv`, `past_ssm`, `past_recurrent`.
 */
const FORMATS: readonly StateFormat[] = [
  format('past_key_values.%d.key', 'present.%d.key', 'key'),
  format('past_key_values.%d.value', 'present.%d.value', 'value'),
  format('past_key_values.%d.decoder.key', 'present.%d.decoder.key', 'key'),
  format('past_key_values.%d.decoder.value', 'present.%d.decoder.value', 'value'),
  format('past_key_values.%d.encoder.key', 'present.%d.encoder.key', 'key', 'cross'),
  format('past_key_values.%d.encoder.value', 'present.%d.encoder.value', 'value', 'cross'),
  format('past_key_%d', 'present_key_%d', 'key'),
  format('past_value_%d', 'present_value_%d', 'value'),
  format('past_key_self_%d', 'present_key_self_%d', 'key'),
  format('past_value_self_%d', 'present_value_self_%d', 'value'),
  format('past_key_cross_%d', 'present_key_cross_%d', 'key', 'cross'),
  format('past_value_cross_%d', 'present_value_cross_%d', 'value', 'cross'),
  format('past_key_values.%d.conv_state', 'present.%d.conv_state', 'conv'),
  format('past_key_values.%d.recurrent_state', 'present.%d.recurrent_state', 'recurrent'),
  format('past_conv.%d', 'present_conv.%d', 'conv'),
  format('past_ssm.%d', 'present_ssm.%d', 'recurrent'),
  format('past_recurrent.%d', 'present_recurrent.%d', 'recurrent'),
];

/** A layer number without leading zeros: two spellings of one number would be two names of one state. */
const LAYER = '(0|[1-9][0-9]{0,5})';

function matcher(template: string): RegExp {
  const escaped = template.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace('%d', LAYER)}$`);
}

const MATCHERS = FORMATS.flatMap((entry) =>
  (['past', 'present'] as const).map((direction) => ({
    entry,
    direction,
    pattern: matcher(entry[direction]),
  })),
);

function findFormat(name: string) {
  for (const { entry, direction, pattern } of MATCHERS) {
    const layer = pattern.exec(name)?.[1];
    if (layer !== undefined) return { entry, direction, layer: Number(layer) };
  }
  return undefined;
}

/** What the name of a decoder's input or output says, or undefined when it is not the name of a state. */
export function parseStateName(name: string): StateName | undefined {
  const found = findFormat(name);
  if (found === undefined) return undefined;
  const { entry, direction, layer } = found;
  return { direction, role: entry.role, scope: entry.scope, layer };
}

/** Name of the output that returns the state the input `past` takes, or undefined when `past` is not a past state. */
export function presentNameOf(past: string): string | undefined {
  const found = findFormat(past);
  if (found?.direction !== 'past') return undefined;
  return found.entry.present.replace('%d', String(found.layer));
}

/** Pairs the past states among `inputs` with the present states among `outputs`, in the order of `inputs`. */
export function pairStates(inputs: readonly string[], outputs: readonly string[]): StatePair[] {
  const returned = new Set(outputs);
  const pairs: StatePair[] = [];
  for (const past of inputs) {
    const found = findFormat(past);
    if (found?.direction !== 'past') continue;
    const present = found.entry.present.replace('%d', String(found.layer));
    const { role, scope } = found.entry;
    pairs.push({
      past,
      present: returned.has(present) ? present : undefined,
      role,
      scope,
      layer: found.layer,
    });
  }
  return pairs;
}
