/** Which nodes a user means: globs on node names and roles that the anatomy knows. Pure. */

import { findEmbedding } from '../anatomy/embedding.ts';
import { findHead } from '../anatomy/head.ts';
import { findLayerRoles } from '../anatomy/layer-roles.ts';
import { LAYER_ROLES } from '../anatomy/role-names.ts';
import { UsageError } from '../errors.ts';
import { groupBy } from '../model/groups.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import type { Value } from '../model/value.ts';
import { suggestion } from './options.ts';

/** Roles that may stand where a glob stands. */
export const ROLES: readonly string[] = [
  '@embedding',
  ...LAYER_ROLES.filter((role) => role !== 'other').map((role) => `@${role}`),
];

/** A role that a selector names; with a `?` behind it it may be absent, for lists that are made for many models. */
function parseRole(text: string): { readonly role: string; readonly mayBeAbsent: boolean } {
  const mayBeAbsent = text.endsWith('?');
  const role = mayBeAbsent ? text.slice(0, -1) : text;
  if (ROLES.includes(role)) return { role, mayBeAbsent };
  throw new UsageError('ERR_UNKNOWN_NAME', `"${text}" is not a role`, {
    hint: suggestion(role, ROLES),
  });
}

/** The nodes of each of {@link ROLES}, in the model as it is when they are first asked for. */
export class RoleNodes {
  readonly #model: Model;
  #layers: ReadonlyMap<string, readonly (readonly [Node, unknown])[]> | undefined;

  constructor(model: Model) {
    this.#model = model;
  }

  of(role: string): ReadonlySet<Node> {
    if (role === '@head' || role === '@embedding') {
      const head = findHead(this.#model)?.linear;
      const node = role === '@head' ? head?.node : findEmbedding(this.#model, head)?.node;
      return new Set(node === undefined ? [] : [node]);
    }
    this.#layers ??= groupBy(findLayerRoles(this.#model).byNode, ([, found]) => `@${found.role}`);
    return new Set(this.#layers.get(role)?.map(([node]) => node));
  }

  /** Which of {@link ROLES} the model has, for messages. */
  known(): readonly string[] {
    return ROLES.filter((role) => this.of(role).size > 0);
  }
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
  /** No mistake if nothing matches. */
  readonly mayBeAbsent: boolean;
  /** Why nothing matched, where it is known that the model has no such node. */
  readonly absence: string | undefined;
}

function globEntry(glob: string): Entry {
  const pattern = globPattern(glob);
  const matchesName = (name: string) => pattern.test(name);
  return {
    text: glob,
    matches: (node) => matchesName(node.name),
    matchesName,
    mayBeAbsent: false,
    absence: 'matches no node',
  };
}

function roleEntry(roles: RoleNodes, text: string): Entry {
  const { role, mayBeAbsent } = parseRole(text);
  const nodes = roles.of(role);
  const known = nodes.size === 0 && !mayBeAbsent ? roles.known() : [];
  const others = known.length === 0 ? '' : `; this model has ${known.join(' ')}`;
  return {
    text,
    matches: (node) => nodes.has(node),
    matchesName: () => false,
    mayBeAbsent,
    absence: nodes.size === 0 ? `matches no node${others}` : undefined,
  };
}

/** A compiled list of selectors that remembers which of them ever matched. */
export class NodeSelector {
  readonly #entries: readonly Entry[];
  readonly #unmatched: Set<Entry>;

  /** Throws a UsageError for an unknown role. */
  constructor(roles: RoleNodes, selectors: readonly string[]) {
    this.#entries = [...new Set(selectors)].map((text) =>
      text.startsWith('@') ? roleEntry(roles, text) : globEntry(text),
    );
    this.#unmatched = new Set(this.#entries);
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
      this.#unmatched.delete(entry);
      found = true;
    }
    return found;
  }

  /** Whether it is no mistake that these are for nothing. */
  get mayMatchNothing(): boolean {
    return this.#entries.every(({ mayBeAbsent }) => mayBeAbsent);
  }

  /** Warnings for the selectors that matched nothing so far. To leave alone what would not be changed is no mistake. */
  warnings(option: 'include' | 'exclude' | 'set'): string[] {
    return [...this.#unmatched].flatMap(({ text, mayBeAbsent, absence }) => {
      if (mayBeAbsent || (absence === undefined && option !== 'include')) return [];
      return [`${option} "${text}" ${absence ?? 'matches nothing that this could change'}`];
    });
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
    const roles = new RoleNodes(model);
    this.#include = new NodeSelector(roles, options.include);
    this.#exclude = new NodeSelector(roles, options.exclude);
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
