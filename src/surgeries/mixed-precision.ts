/**
 * Which layers get 8 bits where the rest gets fewer: the rules of ONNX Runtime GenAI's builder under its names, by what
 * a layer is for instead of how it is called. Pure.
 */

import { findLayerRoles, type LayerRoles, type LinearRole } from '../anatomy/layer-roles.ts';
import type { LayerRole } from '../anatomy/role-names.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';

/** `none`, and the builder's names. */
export const MIXED_RULES = ['none', 'k_quant_mixed', 'k_quant_last', 'k_quant_linear'] as const;

/** One of {@link MIXED_RULES}. */
export type MixedRule = (typeof MIXED_RULES)[number];

/** Bits of the layers a rule is about. */
const MORE_BITS = 8;

type Matches = (role: LinearRole, roles: LayerRoles) => boolean;

/** Part of a rule: what it is about, in words, and which layers that are. */
interface Part {
  readonly what: string;
  readonly matches: Matches;
}

/** Python's `round`: halves go to the even neighbour. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Of `count` layers the first and last eighth, and every third of those between. */
export function isSensitiveLayer(layer: number, count: number): boolean {
  if (layer < count / 8 || layer >= (7 * count) / 8) return true;
  return (layer - roundHalfToEven(count / 8)) % 3 === 2;
}

const SENSITIVE: ReadonlySet<LayerRole> = new Set(['qkv', 'kv', 'v', 'down']);
const AROUND_LINEAR_ATTENTION: ReadonlySet<LayerRole> = new Set([
  'mixer-in',
  'mixer-out',
  'gate',
  'up',
  'gate-up',
  'down',
]);

const HEAD: Part = {
  what: 'language-model head',
  matches: ({ role }) => role === 'head',
};
const MIXED_LAYERS: Part = {
  what: 'value and down projections in layers whose order is known',
  matches: ({ role, layer }, { layerCount }) =>
    SENSITIVE.has(role) && layer !== undefined && isSensitiveLayer(layer, layerCount),
};
const LINEAR_ATTENTION: Part = {
  what: 'layers with linear attention',
  matches: ({ role, layer }, { linearAttention }) =>
    layer !== undefined && linearAttention.has(layer) && AROUND_LINEAR_ATTENTION.has(role),
};

const PARTS: Readonly<Record<Exclude<MixedRule, 'none'>, readonly Part[]>> = {
  k_quant_last: [HEAD],
  k_quant_mixed: [HEAD, MIXED_LAYERS],
  k_quant_linear: [HEAD, LINEAR_ATTENTION],
};

/** A rule, and the nodes of a model that it is about. */
export class MixedPrecision {
  readonly #nodes = new Set<Node>();
  /** Parts of the rule that are about no layer of this model, quantized or not. */
  readonly warnings: readonly string[];

  /** Looks at the model as it is now. */
  constructor(model: Model, rule: MixedRule) {
    const warnings: string[] = [];
    this.warnings = warnings;
    if (rule === 'none') return;
    const roles = findLayerRoles(model);
    for (const { what, matches } of PARTS[rule]) {
      const nodes = [...roles.byNode].filter(([, role]) => matches(role, roles));
      for (const [node] of nodes) this.#nodes.add(node);
      if (nodes.length === 0) warnings.push(`mixed ${rule}: the model has no ${what}`);
    }
  }

  /** What the rule says of a node. */
  of(node: Node): { readonly bits?: typeof MORE_BITS } {
    return this.#nodes.has(node) ? { bits: MORE_BITS } : {};
  }
}
