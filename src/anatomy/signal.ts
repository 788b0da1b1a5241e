/**
 * What reaches each value of a graph: the linear layers it comes straight from, whether the residual stream or an input
 * is mixed in, the mixers before it. One pass over the nodes in their order. Pure.
 */

import type { Graph } from '../model/graph.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { dataInputs, isActivation } from './data-flow.ts';
import { describeLinear, type Linear } from './linear.ts';
import type { Mixer } from './mixers.ts';

/** Narrower layers are no layers but arithmetic on a few numbers, such as rotary frequencies times positions. */
const SMALLEST_K = 16;

/** More linear layers than meet in any value but the residual stream. */
const MOST_SOURCES = 8;

/** What is known of one value. */
export interface Signal {
  /** Linear layers whose results it is made of, with nothing but small operators in between; true: bent on the way. */
  readonly sources: ReadonlyMap<Linear, boolean>;
  /** Whether it is made of anything else too: the residual stream, an input, the result of a mixer. */
  readonly isMixed: boolean;
  /** The mixer it comes straight from, if it does. */
  readonly mixer: Mixer | undefined;
  /** Largest number of layers' mixers on any way to it; those that look at an encoder do not count. */
  readonly depth: number;
  /** The latest mixer of all that are before it, by number; -1 for none. */
  readonly latest: number;
}

const NOTHING: Signal = {
  sources: new Map(),
  isMixed: false,
  mixer: undefined,
  depth: 0,
  latest: -1,
};

/** A graph input, or anything nothing is known of. */
const OUTSIDE: Signal = { ...NOTHING, isMixed: true };

function merge(signals: readonly Signal[], isBent: boolean): Signal {
  const [only] = signals;
  if (only === undefined) return NOTHING;
  if (signals.length === 1 && !isBent) return only;
  const sources = new Map<Linear, boolean>();
  for (const signal of signals) {
    for (const [linear, bent] of signal.sources) {
      sources.set(linear, bent || isBent || sources.get(linear) === true);
    }
  }
  const isCrowded = sources.size > MOST_SOURCES;
  return {
    sources: isCrowded ? NOTHING.sources : sources,
    isMixed: isCrowded || signals.some((signal) => signal.isMixed),
    mixer: signals.find((signal) => signal.mixer !== undefined)?.mixer,
    depth: signals.reduce((most, signal) => Math.max(most, signal.depth), 0),
    latest: signals.reduce((most, signal) => Math.max(most, signal.latest), -1),
  };
}

/** What a {@link SignalWalk} tells as it goes: everything before is known, nothing after. */
export interface SignalVisitor {
  /** A linear layer, and what it reads. */
  readonly linear: (linear: Linear, input: Signal) => void;
  /** A mixer, and its number. Returns whether it begins a layer of its own. */
  readonly mixer: (mixer: Mixer, index: number) => boolean;
  /** Any other node. */
  readonly other: (node: Node) => void;
}

/** Follows activations through the nodes of one graph. */
export class SignalWalk {
  readonly #model: Model;
  readonly #mixers: ReadonlyMap<Node, Mixer>;
  readonly #signals = new Map<Value, Signal>();

  constructor(model: Model, mixers: ReadonlyMap<Node, Mixer>) {
    this.#model = model;
    this.#mixers = mixers;
  }

  /** What is known of a value; inputs of the graph are from outside. */
  signal(value: Value | undefined): Signal {
    return (value && this.#signals.get(value)) ?? OUTSIDE;
  }

  /** What the data inputs of a node carry together. */
  signalInto(node: Node): Signal {
    const signals = dataInputs(this.#model, node).map((value) => this.signal(value));
    return merge(signals, isActivation(node));
  }

  /** Visits every node, in the order of the graph. */
  run(graph: Graph, visitor: SignalVisitor): void {
    let mixers = 0;
    for (const node of graph.nodes) {
      const mixer = this.#mixers.get(node);
      if (mixer !== undefined) {
        const index = mixers++;
        const { depth } = this.signalInto(node);
        const isLayer = visitor.mixer(mixer, index);
        const state = { ...OUTSIDE, depth: depth + (isLayer ? 1 : 0), latest: index };
        this.#set(node, state);
        const [result] = node.outputs;
        if (result !== undefined) this.#signals.set(result, { ...state, mixer });
        continue;
      }
      const linear = describeLinear(this.#model, node);
      if (linear !== undefined && linear.kind !== 'none' && linear.k >= SMALLEST_K) {
        const input = this.signal(node.inputs[0]);
        visitor.linear(linear, input);
        const { depth, latest } = input;
        this.#set(node, { ...NOTHING, sources: new Map([[linear, false]]), depth, latest });
        continue;
      }
      visitor.other(node);
      this.#set(node, this.signalInto(node));
    }
  }

  #set(node: Node, signal: Signal): void {
    for (const output of node.outputs) {
      if (output !== undefined) this.#signals.set(output, signal);
    }
  }
}
