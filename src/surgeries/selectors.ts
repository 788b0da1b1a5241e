/** Which nodes a user means: globs on node names and roles that the anatomy knows. Pure. */

import { findEmbedding } from '../anatomy/embedding.ts';
import { findHead } from '../anatomy/head.ts';
import { findLayerRoles } from '../anatomy/layer-roles.ts';
import { LAYER_ROLES } from '../anatomy/role-names.ts';
import { UsageError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { suggestion } from './options.ts';

/** Roles that may stand where a glob stands. */
export const ROLES: readonly string[] = [
  '@embedding',
  ...LAYER_ROLES.filter((role) => role !== 'other').map((role) => `@${role}`),
];

/** Whether a node has one of {@link ROLES} in the model as it is now. */
function roleMatcher(model: Model, role: string): (node: Node) => boolean {
  if (role === '@head' || role === '@embedding') {
    const head = findHead(model)?.linear;
    const target = role === '@head' ? head?.node : findEmbedding(model, head)?.node;
    return (node) => node === target;
  }
  const { byNode } = findLayerRoles(model);
  return (node) => `@${byNode.get(node)?.role}` === role;
}

/** A regular expression for a shell glob: `*` any run, `?` one character; everything else is literal. */
export function globPattern(glob: string): RegExp {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${source}$`, 's');
}

/** One selector: what it says of nodes, and of names alone. */
interface Entry {
  readonly text: string;
  readonly matches: (node: Node) => boolean;
  readonly matchesName: (name: string) => boolean;
}

/** A compiled list of selectors that remembers which of them ever matched. */
export class NodeSelector {
  readonly #entries: readonly Entry[];
  readonly #unmatched: Set<string>;

  /** Roles are looked up once, in the model as it is now. Throws a UsageError for an unknown role. */
  constructor(model: Model, selectors: readonly string[]) {
    this.#unmatched = new Set(selectors);
    this.#entries = selectors.map((text) => {
      if (!text.startsWith('@')) {
        const pattern = globPattern(text);
        const matchesName = (name: string) => pattern.test(name);
        return { text, matches: (node) => matchesName(node.name), matchesName };
      }
      if (!ROLES.includes(text)) {
        throw new UsageError('ERR_UNKNOWN_NAME', `"${text}" is not a role`, {
          hint: suggestion(text, ROLES),
        });
      }
      return { text, matches: roleMatcher(model, text), matchesName: () => false };
    });
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  matches(node: Node): boolean {
    return this.#any(({ matches }) => matches(node));
  }

  /** True for a value whose name matches, or that of a node that reads it. */
  matchesValue(value: Value): boolean {
    return this.#any(
      ({ matches, matchesName }) => matchesName(value.name) || value.consumers.some(matches),
    );
  }

  #any(matches: (entry: Entry) => boolean): boolean {
    let found = false;
    for (const entry of this.#entries) {
      if (!matches(entry)) continue;
      this.#unmatched.delete(entry.text);
      found = true;
    }
    return found;
  }

  /** Whether any selector ever matched. */
  get hasMatched(): boolean {
    return this.#unmatched.size < this.#entries.length;
  }

  /** Warnings for the globs that matched no node so far. A role may well be absent: a model need not have a head. */
  warnings(option: string): string[] {
    return [...this.#unmatched]
      .filter((text) => !text.startsWith('@'))
      .map((text) => `${option} "${text}" matches no node`);
  }
}

/** What `include` and `exclude` together choose: all that matches `include`, or simply all, but for what `exclude` has. */
export class NodeChoice {
  readonly #include: NodeSelector;
  readonly #exclude: NodeSelector;

  /** Throws a UsageError for an unknown role. */
  constructor(
    model: Model,
    options: { readonly include: readonly string[]; readonly exclude: readonly string[] },
  ) {
    this.#include = new NodeSelector(model, options.include);
    this.#exclude = new NodeSelector(model, options.exclude);
  }

  has(node: Node): boolean {
    return this.#has((selector) => selector.matches(node));
  }

  /** By the name of a value, or a node that reads it. */
  hasValue(value: Value): boolean {
    return this.#has((selector) => selector.matchesValue(value));
  }

  #has(matches: (selector: NodeSelector) => boolean): boolean {
    // Both are asked about everything, so that what matches nothing is known.
    const isExcluded = matches(this.#exclude);
    return (matches(this.#include) || this.#include.isEmpty) && !isExcluded;
  }

  warnings(): string[] {
    return [...this.#include.warnings('include'), ...this.#exclude.warnings('exclude')];
  }
}
