/** What a linear layer can be for, and what exporters' names say of it where its place in the graph does not. Pure. */

import type { Linear } from './linear.ts';

/**
 * - `q` `k` `v`, and those packed in one layer: `kv`, `qk`, `qkv`; `o` what attention's result goes through
 * - `gate` `up` `down` of an MLP, `gate-up` packed; an MLP without a gate has `up` and `down`
 * - `mixer-in` `mixer-out`: around linear attention
 * - `router`: chooses experts; `head`: makes the logits; `other`: none of these
 */
export const LAYER_ROLES = [
  'q',
  'k',
  'v',
  'kv',
  'qk',
  'qkv',
  'o',
  'gate',
  'up',
  'gate-up',
  'down',
  'mixer-in',
  'mixer-out',
  'router',
  'head',
  'other',
] as const;

/** One of {@link LAYER_ROLES}. */
export type LayerRole = (typeof LAYER_ROLES)[number];

const ROLES: readonly (readonly [RegExp, LayerRole])[] = [
  [/\b(qkv_proj|c_attn|query_key_value|Wqkv|in_proj_qkv)\b/, 'qkv'],
  [/\b(q_proj|query)\b/, 'q'],
  [/\b(k_proj|key)\b/, 'k'],
  [/\b(v_proj|value)\b/, 'v'],
  [/\b(o_proj|out_proj)\b/, 'o'],
  [/\bgate_up_proj\b/, 'gate-up'],
  [/\bgate_proj\b/, 'gate'],
  [/\b(up_proj|fc1|c_fc)\b/, 'up'],
  [/\b(down_proj|fc2)\b/, 'down'],
];

const LAYER = /\b(?:layers|layer|h|blocks?)[./](0|[1-9][0-9]{0,5})\b/;

function namesOf(linear: Linear): string {
  const stored = linear.kind === 'float' ? linear.weight.source : linear.table.codes.value;
  return `${linear.node.name} ${stored.name}`;
}

/** The role in the names of a layer's node or weight. */
export function roleInName(linear: Linear): LayerRole | undefined {
  const names = namesOf(linear);
  return ROLES.find(([pattern]) => pattern.test(names))?.[1];
}

/** The layer's number in the names of its node or weight. */
export function layerInName(linear: Linear): number | undefined {
  const number = LAYER.exec(namesOf(linear))?.[1];
  return number === undefined ? undefined : Number(number);
}
