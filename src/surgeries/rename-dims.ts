/**
 * Rename symbolic dimensions, or fix their sizes.
 *
 * A symbol is replaced in inputs, outputs and `value_info` of all graphs and functions, also within sequences, maps and
 * optional values, in types among attributes, and where values are split among devices. Sizes are not fixed within
 * functions, which may be called with others. Symbols that mention one in an expression (`past + seq`) stay and are
 * reported. A name that other dimensions have is refused unless `merge` says that they always are the same size.
 */

import { PreconditionError, UsageError } from '../errors.ts';
import { countSymbols, replaceSymbols } from '../model/symbols.ts';
import { flag, integers, names, suggestion } from './options.ts';
import { type Change, type Decline, defineSurgery } from './surgery.ts';

const NAME = 'rename-dims';

interface DimsOptions {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly value: readonly number[];
  readonly merge: boolean;
}

function refuseOptions(message: string, hint: string): never {
  throw new UsageError('ERR_OPTION', `surgery ${NAME}: ${message}`, { hint });
}

function checkOptions({ from, to, value, merge }: DimsOptions): void {
  const option = to.length > 0 ? 'to' : 'value';
  const wanted = to.length > 0 ? to : value;
  if ((to.length === 0) === (value.length === 0)) {
    refuseOptions(
      'give either to or value',
      'to=NAME renames a dimension, value=SIZE fixes its size',
    );
  }
  if (from.length !== wanted.length) {
    refuseOptions(
      `from has ${from.length} entries, ${option} has ${wanted.length}`,
      `give one for each: from=a|b,${option}=${option === 'to' ? 'c|d' : '1|128'}`,
    );
  }
  const twice = from.find((name, index) => from.indexOf(name) !== index);
  if (twice !== undefined) refuseOptions(`from has "${twice}" twice`, 'name each dimension once');
  const merged = to.find((name, index) => to.indexOf(name) !== index);
  if (merged !== undefined && !merge) {
    refuseOptions(`to has "${merged}" twice`, 'add merge=true if the two always are the same size');
  }
  const number = to.find((name) => /^\d+$/.test(name));
  if (number !== undefined) {
    refuseOptions(`"${number}" is no name of a dimension`, `value=${number} fixes the size`);
  }
}

function places(count: number): string {
  return `in ${count} place${count === 1 ? '' : 's'}`;
}

/** Whether a symbol is made of others, and of this one. */
function mentions(expression: string, symbol: string): boolean {
  return expression !== symbol && expression.split(/[^\w.]+/).includes(symbol);
}

/** A new name for each of `from`. Throws for one that does not exist, and for one that would be another's. */
function newNames(
  { from, to, merge }: DimsOptions,
  symbols: ReadonlyMap<string, number>,
  declined: Decline[],
): Map<string, string> {
  const renames = new Map<string, string>();
  for (const [index, symbol] of from.entries()) {
    const wanted = to[index] as string;
    const isTaken = symbols.has(wanted) && !from.includes(wanted);
    // Done before: running a recipe again is no mistake.
    if ((isTaken && !symbols.has(symbol)) || (symbol === wanted && symbols.has(symbol))) {
      declined.push({ node: wanted, reason: 'the dimension has this name already' });
      continue;
    }
    if (!symbols.has(symbol)) {
      throw new UsageError('ERR_UNKNOWN_NAME', `${NAME}: no dimension is called "${symbol}"`, {
        hint: suggestion(symbol, [...symbols.keys()]),
      });
    }
    if (isTaken && !merge) {
      throw new PreconditionError(
        'ERR_PRECONDITION',
        `${NAME}: cannot rename "${symbol}" to "${wanted}", which is the name of ${symbols.get(wanted)} other dimensions`,
        { hint: 'add merge=true if the two always are the same size' },
      );
    }
    renames.set(symbol, wanted);
  }
  return renames;
}

function sizes(
  { from, value }: DimsOptions,
  symbols: ReadonlyMap<string, number>,
  declined: Decline[],
): Map<string, number> {
  const fixed = new Map<string, number>();
  for (const [index, symbol] of from.entries()) {
    if (symbols.has(symbol)) fixed.set(symbol, value[index] as number);
    else {
      const hint = suggestion(symbol, [...symbols.keys()]);
      declined.push({ node: symbol, reason: `no dimension has this name; ${hint}` });
    }
  }
  return fixed;
}

export default defineSurgery({
  name: NAME,
  summary: 'Rename symbolic dimensions, or fix their sizes',
  options: {
    from: names({ help: 'the dimension to change; several as from=a|b' }),
    to: names({ default: [], help: 'its new name' }),
    value: integers({
      min: 1,
      max: Number.MAX_SAFE_INTEGER,
      help: 'its size, instead of a new name',
    }),
    merge: flag({
      default: false,
      help: 'the new name may be that of other dimensions: they always are the same size',
    }),
  },
  check: checkOptions,
  apply(model, options) {
    const counts = countSymbols(model);
    const isRename = options.to.length > 0;
    const symbols = isRename ? counts.all : counts.outsideFunctions;
    const declined: Decline[] = [];
    const replacements = isRename
      ? newNames(options, symbols, declined)
      : sizes(options, symbols, declined);
    const changes: Change[] = [...replacements].map(([symbol, wanted]) => {
      const where = places(symbols.get(symbol) ?? 0);
      const what = isRename ? `renamed to "${wanted}" ${where}` : `fixed at ${wanted} ${where}`;
      return { node: symbol, what };
    });
    const warnings = [...counts.all].flatMap(([expression, count]) => {
      const symbol = [...replacements.keys()].find((name) => mentions(expression, name));
      if (symbol === undefined || replacements.has(expression)) return [];
      return [`"${expression}" mentions "${symbol}" ${places(count)} and stays as it is`];
    });
    if (replacements.size > 0) replaceSymbols(model, replacements);
    return { changes, declined, warnings };
  },
});
