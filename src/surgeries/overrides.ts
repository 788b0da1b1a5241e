/** Options for some nodes: what `set` says beside the options for all. Pure. */

import { UsageError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Node } from '../model/node.ts';
import {
  camelCase,
  type OptionSpec,
  type OptionTable,
  type OptionValues,
  suggestion,
} from './options.ts';
import { NodeSelector, RoleNodes } from './selectors.ts';

/** Options for the nodes that one selector matches. */
export interface Override<O extends OptionTable> {
  /** A glob on node names, or a role. */
  readonly selector: string;
  readonly options: Partial<OptionValues<O>>;
}

const FORM = 'write GLOB=bits:8,blockSize:64';

function refuse(entry: unknown, what: string, hint = FORM): never {
  throw new UsageError('ERR_OPTION', `option set: ${JSON.stringify(entry)} ${what}`, { hint });
}

function isRecord(input: unknown): input is Readonly<Record<string, unknown>> {
  return typeof input === 'object' && input !== null && !Array.isArray(input);
}

/** `GLOB=key:value,key:value` as a selector and its options, not checked yet. */
function parseText(text: string): [selector: string, options: readonly [string, unknown][]] {
  // Names of nodes may have an equals sign in them, names and values of options have none.
  const equals = text.lastIndexOf('=');
  if (equals <= 0) refuse(text, 'names no nodes');
  const options = text
    .slice(equals + 1)
    .split(',')
    .map((pair): [string, unknown] => {
      const colon = pair.indexOf(':');
      if (colon === 0 || pair === '') refuse(text, 'has an empty option');
      return colon < 0
        ? [camelCase(pair), true]
        : [camelCase(pair.slice(0, colon)), pair.slice(colon + 1)];
    });
  return [text.slice(0, equals), options];
}

function entriesOf(input: unknown): [selector: string, options: readonly [string, unknown][]][] {
  if (typeof input === 'string') return [parseText(input)];
  if (Array.isArray(input)) return input.flatMap((entry: unknown) => entriesOf(entry));
  if (!isRecord(input)) refuse(input, 'is no override');
  return Object.entries(input).map(([selector, options]) => {
    if (!isRecord(options)) refuse({ [selector]: options }, 'has no options');
    return [selector, Object.entries(options)];
  });
}

/**
 * Options for some nodes, in two forms: `GLOB=bits:8,blockSize:64`, or a list of such; or an object of selectors,
 * `{ "GLOB": { "bits": 8 } }`, which is what `customized_weight_config` of Olive and ONNX Runtime looks like. Those of
 * `table` may be given.
 */
export function overrides<O extends OptionTable>(
  table: O,
  settings: { readonly help: string },
): OptionSpec<readonly Override<O>[]> {
  return {
    ...settings,
    default: [],
    argument: 'GLOB=KEY:VALUE,…',
    aliases: ['customized_weight_config'],
    parse: (input) =>
      entriesOf(input).map(([selector, given]) => {
        const options: Record<string, unknown> = {};
        for (const [name, value] of given) {
          const spec = Object.hasOwn(table, name) ? table[name] : undefined;
          if (spec === undefined) {
            refuse(selector, `has no option "${name}"`, suggestion(name, Object.keys(table)));
          }
          options[name] = spec.parse(value, `set ${JSON.stringify(selector)}: ${name}`);
        }
        return { selector, options: options as Partial<OptionValues<O>> };
      }),
  };
}

/** Tells what the overrides make of a node's options, and which of them were for nothing. */
export class NodeOverrides<O extends OptionTable> {
  readonly #entries: {
    readonly override: Override<O>;
    readonly nodes: NodeSelector;
    isUsed: boolean;
  }[];

  /** Throws a UsageError for an unknown role. */
  constructor(model: Model, list: readonly Override<O>[]) {
    const roles = new RoleNodes(model);
    this.#entries = list.map((override) => ({
      override,
      nodes: new NodeSelector(roles, [override.selector]),
      isUsed: false,
    }));
  }

  /** What all overrides that match `node` say together; the later one holds. To be asked about every node. */
  of(node: Node, isChosen: boolean): Partial<OptionValues<O>> {
    const options = {};
    for (const entry of this.#entries) {
      if (!entry.nodes.matches(node)) continue;
      entry.isUsed ||= isChosen;
      Object.assign(options, entry.override.options);
    }
    return options;
  }

  warnings(): string[] {
    return this.#entries.flatMap(({ override, nodes, isUsed }) => {
      const unmatched = nodes.warnings('set');
      if (isUsed || unmatched.length > 0 || nodes.mayMatchNothing) return unmatched;
      return [
        `set "${override.selector}" matches only nodes that are left out or quantized already`,
      ];
    });
  }
}
