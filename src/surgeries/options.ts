/** Option tables: one declaration gives the TypeScript type, the check, the command-line flag and the help. Pure. */

import { UsageError } from '../errors.ts';

/** One option of a surgery. `parse` takes what a recipe or the command line gives and throws a UsageError. */
export interface OptionSpec<T> {
  readonly default: T;
  readonly help: string;
  /** Placeholder for help, for example `4|8` or `GLOB`. */
  readonly argument: string;
  readonly parse: (input: unknown, name: string) => T;
}

export type OptionTable = Readonly<Record<string, OptionSpec<unknown>>>;

/** Values of a table: `{ bits: 4 | 8; symmetric: boolean }`. */
export type OptionValues<O extends OptionTable> = {
  readonly [K in keyof O]: O[K] extends OptionSpec<infer T> ? T : never;
};

function refuse(input: unknown, name: string, expected: string): never {
  throw new UsageError('ERR_OPTION', `option ${name}: ${JSON.stringify(input)} is not ${expected}`);
}

/** One of a fixed set of numbers or words. */
export function choice<const T extends string | number>(
  values: readonly T[],
  settings: { readonly default: T; readonly help: string },
): OptionSpec<T> {
  return {
    ...settings,
    argument: values.join('|'),
    parse: (input, name) =>
      values.find((value) => value === input || String(value) === input) ??
      refuse(input, name, `one of ${values.join(', ')}`),
  };
}

/** Yes or no; on the command line the bare flag means yes. */
export function flag(settings: {
  readonly default: boolean;
  readonly help: string;
}): OptionSpec<boolean> {
  return {
    ...settings,
    argument: 'true|false',
    parse: (input, name) => {
      if (input === true || input === 'true' || input === '') return true;
      if (input === false || input === 'false') return false;
      return refuse(input, name, 'true or false');
    },
  };
}

/** A list of node selectors: globs on node names, or roles such as `@head`. */
export function selectors(settings: { readonly help: string }): OptionSpec<readonly string[]> {
  return {
    ...settings,
    default: [],
    argument: 'GLOB',
    parse: (input, name) => {
      const list = typeof input === 'string' ? [input] : input;
      if (Array.isArray(list) && list.every((entry) => typeof entry === 'string' && entry !== '')) {
        return list;
      }
      return refuse(input, name, 'a glob or a list of globs');
    },
  };
}

/** Small edit distance, for suggestions; stops caring beyond 3. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** `did you mean "x"?`, when something known is close to `wanted`; otherwise the list of what is known. */
export function suggestion(wanted: string, known: readonly string[]): string {
  const folded = wanted.toLowerCase();
  const ranked = known
    .map((name) => ({ name, steps: distance(folded, name.toLowerCase()) }))
    .sort((a, b) => a.steps - b.steps);
  const best = ranked[0];
  if (best !== undefined && best.steps <= Math.max(2, Math.floor(wanted.length / 3))) {
    return `did you mean "${best.name}"?`;
  }
  return `known: ${known.join(', ')}`;
}

/** Checks `given` against a table and fills in defaults. Throws a UsageError for unknown names and bad values. */
export function parseOptions<O extends OptionTable>(
  table: O,
  given: Readonly<Record<string, unknown>>,
  owner: string,
): OptionValues<O> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(table, name)) {
      throw new UsageError('ERR_OPTION', `${owner} has no option "${name}"`, {
        hint: suggestion(name, Object.keys(table)),
      });
    }
  }
  for (const [name, spec] of Object.entries(table)) {
    values[name] = Object.hasOwn(given, name) ? spec.parse(given[name], name) : spec.default;
  }
  return values as OptionValues<O>;
}
