/**
 * What each linear layer of a transformer is for, and in which layer it is: found by what feeds attention, what follows
 * it, what is bent and multiplied between two products, and how mixers follow each other along the residual stream.
 * Names settle what that leaves open. Pure.
 */

import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { findHead } from './head.ts';
import type { Linear } from './linear.ts';
import { findMixers, type Mixer } from './mixers.ts';
import { type LayerRole, layerInName, roleInName } from './role-names.ts';
import { type Signal, SignalWalk } from './signal.ts';

/** One linear layer. */
export interface LinearRole {
  readonly role: LayerRole;
  /** From 0 along the residual stream; undefined outside of layers, as for the head. */
  readonly layer: number | undefined;
}

/** The linear layers of a model's main graph. */
export interface LayerRoles {
  /** By node; every MatMul, Gemm and MatMulNBits with a constant weight of 16 inputs and more. */
  readonly byNode: ReadonlyMap<Node, LinearRole>;
  readonly layerCount: number;
  /** Layers whose tokens see each other through linear attention. */
  readonly linearAttention: ReadonlySet<number>;
}

const PACKED: Readonly<Record<string, LayerRole>> = {
  q: 'q',
  k: 'k',
  v: 'v',
  kv: 'kv',
  qk: 'qk',
  qv: 'qkv',
  qkv: 'qkv',
};

/** Where in a layer a role is known to be: at its mixer, or in an MLP whose place shows at the end. */
interface Found {
  readonly role: LayerRole;
  /** Number of layers' mixers before it. */
  readonly depth: number;
  readonly place: 'mixer' | 'mlp' | 'none';
}

class RoleFinder {
  readonly #model: Model;
  readonly #walk: SignalWalk;
  readonly #head: Node | undefined;
  readonly #linears: Linear[] = [];
  readonly #inputs = new Map<Linear, Signal>();
  readonly #found = new Map<Linear, Found>();
  readonly #mixerLayers = new Map<Mixer, number>();
  /** Layers by what attention reads keys from, so that layers that share them are told from cross attention. */
  readonly #keys = new Set<Linear>();
  #layers = 0;

  constructor(model: Model) {
    this.#model = model;
    this.#walk = new SignalWalk(model, findMixers(model, model.graph));
    this.#head = findHead(model)?.linear.node;
  }

  find(): LayerRoles {
    this.#walk.run(this.#model.graph, {
      linear: (linear, input) => this.#linear(linear, input),
      mixer: (mixer) => this.#mixer(mixer),
      other: (node) => this.#router(node),
    });
    const mlps = [...this.#found.values()].filter(({ place }) => place === 'mlp');
    // In most models an MLP comes after its layer's attention, in some beside it: then none comes after the last.
    const isAfter = mlps.some(({ depth }) => depth === this.#layers);
    const byNode = new Map<Node, LinearRole>();
    for (const linear of this.#linears) byNode.set(linear.node, this.#roleOf(linear, isAfter));
    const linearAttention = new Set<number>();
    for (const [{ kind }, layer] of this.#mixerLayers) {
      if (kind === 'linear-attention') linearAttention.add(layer);
    }
    return { byNode, layerCount: this.#layers, linearAttention };
  }

  #roleOf(linear: Linear, isAfter: boolean): LinearRole {
    if (linear.node === this.#head) return { role: 'head', layer: undefined };
    const found = this.#found.get(linear);
    if (found === undefined) {
      return { role: roleInName(linear) ?? 'other', layer: layerInName(linear) };
    }
    const { role, depth, place } = found;
    if (place === 'none' || this.#layers === 0) return { role, layer: layerInName(linear) };
    const layer = place === 'mlp' && isAfter ? depth - 1 : depth;
    return { role, layer: Math.min(Math.max(layer, 0), this.#layers - 1) };
  }

  #linear(linear: Linear, input: Signal): void {
    this.#linears.push(linear);
    this.#inputs.set(linear, input);
    if (linear.node === this.#head) return;
    const { mixer, sources } = input;
    if (mixer !== undefined) {
      const depth = this.#mixerLayers.get(mixer) ?? 0;
      const isAttention = mixer.kind === 'attention';
      this.#set(linear, { role: isAttention ? 'o' : 'mixer-out', depth, place: 'mixer' });
      // What gates the result of the mixer, besides.
      for (const source of sources.keys()) {
        if (this.#found.has(source)) continue;
        this.#set(source, { role: isAttention ? 'other' : 'mixer-in', depth, place: 'mixer' });
      }
      return;
    }
    if (input.isMixed || sources.size === 0 || sources.size > 2) return;
    this.#mlp(linear, input);
  }

  /** A layer that reads nothing but other layers, bent: the second half of an MLP. */
  #mlp(down: Linear, { sources }: Signal): void {
    const before = [...sources.keys()];
    const isBent = [...sources.values()].some((bent) => bent);
    if (!isBent || before.some((linear) => this.#found.has(linear))) return;
    const depth = Math.max(...before.map((linear) => this.#inputs.get(linear)?.depth ?? 0));
    const place = 'mlp' as const;
    this.#set(down, { role: 'down', depth, place });
    const [first, second] = before;
    if (first !== undefined && second === undefined) {
      const role = first.n === 2 * down.k ? 'gate-up' : 'up';
      this.#set(first, { role, depth, place });
      return;
    }
    for (const linear of before) {
      this.#set(linear, { role: sources.get(linear) === true ? 'gate' : 'up', depth, place });
    }
  }

  #mixer(mixer: Mixer): boolean {
    const isLayer = mixer.kind === 'linear-attention' || !this.#isCross(mixer);
    const depth = isLayer ? this.#layers : Math.max(this.#layers - 1, 0);
    if (isLayer) this.#layers++;
    this.#mixerLayers.set(mixer, depth);
    const place = 'mixer' as const;
    if (mixer.kind === 'linear-attention') {
      for (const linear of this.#walk.signalInto(mixer.node).sources.keys()) {
        this.#set(linear, { role: 'mixer-in', depth, place });
      }
      return isLayer;
    }
    const parts = new Map<Linear, string>();
    const add = (part: string, value: Value | undefined) => {
      if (value === undefined) return;
      for (const linear of this.#walk.signal(value).sources.keys()) {
        parts.set(linear, (parts.get(linear) ?? '') + part);
      }
    };
    add('q', mixer.query);
    add('k', mixer.key);
    add('v', mixer.value);
    const isPacked = mixer.key === undefined && mixer.value === undefined;
    for (const [linear, part] of parts) {
      if (part.includes('k')) this.#keys.add(linear);
      if (this.#found.get(linear)?.place === 'mixer' && part !== 'q') continue;
      const role = isPacked ? 'qkv' : (PACKED[part] ?? 'other');
      this.#set(linear, { role, depth, place });
    }
    return isLayer;
  }

  /** Whether keys come from elsewhere than queries: an encoder, or a cache that is all there is. */
  #isCross({ query, key }: Mixer): boolean {
    if (key === undefined || query === undefined) return false;
    const queries = [...this.#walk.signal(query).sources.keys()];
    const keys = [...this.#walk.signal(key).sources.keys()];
    if (queries.length === 0) return false;
    if (keys.length === 0) return true;
    if (keys.some((linear) => this.#keys.has(linear))) return false;
    const latest = (linears: readonly Linear[]) =>
      Math.max(...linears.map((linear) => this.#inputs.get(linear)?.latest ?? -1));
    return latest(queries) !== latest(keys);
  }

  /** The layer whose largest results are looked for: it chooses experts. */
  #router(node: Node): void {
    const isExperts = node.domain === 'com.microsoft' && /^Q?MoE$/.test(node.opType);
    if (!isExperts && !node.is('TopK')) return;
    const { sources, isMixed } = this.#walk.signal(node.inputs[isExperts ? 1 : 0]);
    const [linear, ...others] = sources.keys();
    if (linear === undefined || others.length > 0 || isMixed) return;
    if (linear.node === this.#head || this.#found.has(linear)) return;
    const depth = this.#inputs.get(linear)?.depth ?? 0;
    this.#set(linear, { role: 'router', depth, place: 'mlp' });
  }

  #set(linear: Linear, found: Found): void {
    if (linear.node !== this.#head) this.#found.set(linear, found);
  }
}

/** The roles of the linear layers of a model's main graph. Looks at every node once. */
export function findLayerRoles(model: Model): LayerRoles {
  return new RoleFinder(model).find();
}
