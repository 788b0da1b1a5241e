/** A recipe: surgeries with options, in order. Pure. */

import { UsageError } from '../errors.ts';
import { checkLayout, type Layout } from '../external-data/layout.ts';
import { findSurgery } from '../surgeries/index.ts';
import { camelCase } from '../surgeries/options.ts';

/** One surgery of a recipe. */
export interface RecipeStep {
  /** Name or alias of a surgery. */
  readonly surgery: string;
  /** Its options; what is left out has the surgery's default. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** What `shrink`, `apply`, `repack` and recipe files build, and `runRecipe` runs. */
export interface Recipe {
  readonly name: string;
  /** May be empty when there is a layout. */
  readonly steps: readonly RecipeStep[];
  /**
   * How the result is laid out in files. With one the output is laid out anew, in one series of data files, without
   * dead bytes, also in place. Without one it keeps the input's data files.
   */
  readonly layout?: Layout | undefined;
}

/** Throws a UsageError for a surgery or option that does not exist, before any file is opened. */
export function checkRecipe(recipe: Recipe): void {
  if (recipe.layout !== undefined) checkLayout(recipe.layout);
  else if (recipe.steps.length === 0) {
    throw new UsageError('ERR_OPTION', `recipe ${recipe.name} has no steps`);
  }
  for (const { surgery, options } of recipe.steps) findSurgery(surgery).check(options);
}

function parseValue(text: string): unknown {
  return text.includes('|') ? text.split('|') : text;
}

/**
 * A step as the command line spells it: `NAME` or `NAME:key=value,key=value`. Keys may be written in kebab-case; a
 * list has its entries separated by `|`; `key:value` belongs to the option before it: `set=*v_proj*=bits:8,blockSize:64`.
 */
export function parseStep(text: string): RecipeStep {
  const colon = text.indexOf(':');
  if (colon < 0) return { surgery: text, options: {} };
  // Without a prototype, so that `__proto__` is a name like any other: one that no surgery knows.
  const options: Record<string, unknown> = Object.create(null);
  // A comma before `key:value` goes on with the option before it.
  for (const pair of text.slice(colon + 1).split(/,(?![^,=]*:)/)) {
    const equals = pair.indexOf('=');
    const key = equals < 0 ? pair : pair.slice(0, equals);
    if (key === '') {
      throw new UsageError('ERR_OPTION', `"${text}" has an empty option`, {
        hint: 'write NAME:key=value,key=value',
      });
    }
    options[camelCase(key)] = equals < 0 ? true : parseValue(pair.slice(equals + 1));
  }
  return { surgery: text.slice(0, colon), options };
}
