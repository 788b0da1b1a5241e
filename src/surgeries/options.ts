/** Option tables: one declaration gives the TypeScript type, the check, the command-line flag and the help. Pure. */

import { isSize, parseSize } from '../bytes.ts';
import { UsageError } from '../errors.ts';

/** One option of a surgery. `parse` takes what a recipe or the command line gives and throws a UsageError. */
export interface OptionSpec<T> {
  /** Undefined for an option that must be given. */
  readonly default: T | undefined;
  readonly help: string;
  /** Placeholder for help, for example `4|8` or `GLOB`. */
  readonly argument: string;
  readonly parse: (input: unknown, name: string) => T;
  /** Other names it may be given by, such as Olive's. */
  readonly aliases?: readonly string[];
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
  settings: { readonly default?: T; readonly help: string },
): OptionSpec<T> {
  return {
    help: settings.help,
    default: settings.default,
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

/** Names of things in the model: one, or a list, which the command line separates by `|`. */
export function names(settings: {
  readonly default?: readonly string[];
  readonly help: string;
}): OptionSpec<readonly string[]> {
  return {
    help: settings.help,
    default: settings.default,
    argument: 'NAME',
    parse: (input, name) => {
      const list = typeof input === 'string' ? [input] : input;
      const areNames = (entries: readonly unknown[]): entries is readonly string[] =>
        entries.length > 0 && entries.every((entry) => typeof entry === 'string' && entry !== '');
      return Array.isArray(list) && areNames(list)
        ? list
        : refuse(input, name, 'a name or a list of names');
    },
  };
}

interface IntegerSettings {
  readonly min: number;
  readonly max: number;
  readonly help: string;
}

function isWithin(input: unknown, { min, max }: IntegerSettings): boolean {
  const isNumber = typeof input === 'number' || (typeof input === 'string' && /^\d+$/.test(input));
  return (
    isNumber && Number.isSafeInteger(Number(input)) && min <= Number(input) && Number(input) <= max
  );
}

/** An integer that must be given. */
export function integer(settings: IntegerSettings): OptionSpec<number> {
  return {
    help: settings.help,
    default: undefined,
    argument: `${settings.min}..${settings.max}`,
    parse: (input, name) =>
      isWithin(input, settings)
        ? Number(input)
        : refuse(input, name, `an integer from ${settings.min} to ${settings.max}`),
  };
}

/** A number of decibels, decimals allowed. */
export function decibels(settings: {
  readonly default: number;
  readonly help: string;
}): OptionSpec<number> {
  return {
    ...settings,
    argument: 'DB',
    parse: (input, name) => {
      const isNumber =
        typeof input === 'number' || (typeof input === 'string' && /^\d+(\.\d+)?$/.test(input));
      const value = Number(input);
      return isNumber && value >= 0 && value <= 1000
        ? value
        : refuse(input, name, 'a number of decibels from 0 to 1000');
    },
  };
}

/** Integers: one, or a list, which the command line separates by `|`. */
export function integers(settings: IntegerSettings): OptionSpec<readonly number[]> {
  return {
    help: settings.help,
    default: [],
    argument: 'NUMBER',
    parse: (input, name) => {
      const list = Array.isArray(input) ? (input as readonly unknown[]) : [input];
      return list.length > 0 && list.every((entry) => isWithin(entry, settings))
        ? list.map(Number)
        : refuse(input, name, `an integer from ${settings.min} to ${settings.max}, or a list`);
    },
  };
}

/** A number of bytes: a number, or a size such as `64KiB`. */
export function byteSize(settings: {
  readonly default: number;
  readonly help: string;
}): OptionSpec<number> {
  return {
    ...settings,
    argument: 'SIZE',
    parse: (input, name) => {
      if (typeof input === 'string') return parseSize(input);
      return typeof input === 'number' && isSize(input) ? input : refuse(input, name, 'a size');
    },
  };
}

/** `block-size` as `blockSize`. */
export function camelCase(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
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

/** So many names are listed where none is near. */
const LISTED_NAMES = 20;

/** `did you mean "x"?`, when something known is close to `wanted`; otherwise the list of what is known. */
export function suggestion(wanted: string, known: readonly string[]): string {
  if (known.length === 0) return 'there are none';
  const folded = wanted.toLowerCase();
  const ranked = known
    .map((name) => ({ name, steps: distance(folded, name.toLowerCase()) }))
    .sort((a, b) => a.steps - b.steps);
  const best = ranked[0];
  if (best !== undefined && best.steps <= Math.max(2, Math.floor(wanted.length / 3))) {
    return `did you mean "${best.name}"?`;
  }
  const listed = known.slice(0, LISTED_NAMES).join(', ');
  const more = known.length - LISTED_NAMES;
  return more > 0 ? `known: ${listed} and ${more} more` : `known: ${listed}`;
}

/**
 * Checks `given` against a table and fills in defaults. Throws a UsageError for unknown names, bad values and
 * options that are missing.
 */
export function parseOptions<O extends OptionTable>(
  table: O,
  given: Readonly<Record<string, unknown>>,
  owner: string,
): OptionValues<O> {
  const values: Record<string, unknown> = {};
  const named = new Map<string, unknown>();
  for (const [name, value] of Object.entries(given)) {
    const isAlias = ([, { aliases }]: [string, OptionSpec<unknown>]) => aliases?.includes(name);
    const own = Object.hasOwn(table, name) ? name : Object.entries(table).find(isAlias)?.[0];
    if (own === undefined) {
      throw new UsageError('ERR_OPTION', `${owner} has no option "${name}"`, {
        hint: suggestion(name, Object.keys(table)),
      });
    }
    if (named.has(own)) {
      throw new UsageError('ERR_OPTION', `${owner} is given the option "${own}" by two names`);
    }
    named.set(own, value);
  }
  for (const [name, spec] of Object.entries(table)) {
    const value = named.has(name) ? spec.parse(named.get(name), name) : spec.default;
    if (value === undefined) {
      throw new UsageError('ERR_OPTION', `${owner} needs the option "${name}"`, {
        hint: `${name}: ${spec.help}`,
      });
    }
    values[name] = value;
  }
  return values as OptionValues<O>;
}
