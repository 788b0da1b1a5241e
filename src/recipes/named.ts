/** The recipes that have names. Pure. */

import { UsageError } from '../errors.ts';
import { suggestion } from '../surgeries/options.ts';
import type { Recipe, RecipeStep } from './recipe.ts';

/** A named recipe and what help says of it. */
export interface NamedRecipe extends Recipe {
  readonly summary: string;
}

function embedding(bits: 4 | 8): RecipeStep {
  return { surgery: 'quantize-embedding', options: { bits } };
}

function head(bits: 4 | 8): RecipeStep {
  return { surgery: 'quantize-matmul', options: { bits, include: ['@head'] } };
}

function body(bits: 4 | 8): RecipeStep {
  return { surgery: 'quantize-matmul', options: { bits } };
}

const TIE: RecipeStep = { surgery: 'tie-word-embeddings', options: {} };
const CLEAN: RecipeStep = { surgery: 'remove-unused', options: {} };

/** In the order help lists them; the first is the default. */
export const NAMED_RECIPES: readonly NamedRecipe[] = [
  {
    name: 'q4',
    summary: '4-bit body, 8-bit embedding and head, stored once where tied',
    steps: [embedding(8), TIE, head(8), body(4), CLEAN],
  },
  {
    name: 'q4-small',
    summary: '4 bits everywhere, embedding and head stored once where tied',
    steps: [embedding(4), TIE, body(4), CLEAN],
  },
  {
    name: 'q8',
    summary: '8 bits everywhere, embedding and head stored once where tied',
    steps: [embedding(8), TIE, body(8), CLEAN],
  },
  {
    name: 'int8-embedding',
    summary: '8-bit embedding and head only, stored once where tied',
    steps: [embedding(8), TIE, head(8), CLEAN],
  },
];

/** The recipe of a name. Throws a UsageError with a suggestion. */
export function namedRecipe(name: string): NamedRecipe {
  const found = NAMED_RECIPES.find((recipe) => recipe.name === name);
  if (found !== undefined) return found;
  throw new UsageError('ERR_UNKNOWN_NAME', `there is no recipe "${name}"`, {
    hint: suggestion(
      name,
      NAMED_RECIPES.map((recipe) => recipe.name),
    ),
  });
}
