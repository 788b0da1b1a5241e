/** The recipes that have names. Pure. */

import { UsageError } from '../errors.ts';
import { suggestion } from '../surgeries/options.ts';
import type { Recipe, RecipeStep } from './recipe.ts';

/** A named recipe and what help says of it. */
export interface NamedRecipe extends Recipe {
  readonly summary: string;
}

type Method = 'rtn' | 'search';

function embedding(bits: 4 | 8, method: Method): RecipeStep {
  return { surgery: 'quantize-embedding', options: { bits, method } };
}

function head(bits: 4 | 8, method: Method): RecipeStep {
  return { surgery: 'quantize-matmul', options: { bits, method, include: ['@head'] } };
}

function body(bits: 4 | 8, method: Method): RecipeStep {
  return { surgery: 'quantize-matmul', options: { bits, method } };
}

const TIE: RecipeStep = { surgery: 'tie-word-embeddings', options: {} };
const CLEAN: RecipeStep = { surgery: 'remove-unused', options: {} };

/**
 * In the order help lists them; the first is the default. Methods by the perplexity of examples/austen-tiny: 4 bits
 * everywhere gives 56.94 with rtn, 56.71 with search and 56.62 with k-quant (the input 55.92), which takes a tenth more
 * processor time than search; a 4-bit body alone 55.97, 56.07 and 55.97.
 */
export const NAMED_RECIPES: readonly NamedRecipe[] = [
  {
    name: 'q4',
    summary: '4-bit body, 8-bit embedding and head, stored once where tied',
    steps: [embedding(8, 'rtn'), TIE, head(8, 'rtn'), body(4, 'rtn'), CLEAN],
  },
  {
    name: 'q4-small',
    summary: '4 bits everywhere, embedding and head stored once where tied',
    steps: [embedding(4, 'search'), TIE, body(4, 'search'), CLEAN],
  },
  {
    name: 'q8',
    summary: '8 bits everywhere, embedding and head stored once where tied',
    steps: [embedding(8, 'rtn'), TIE, body(8, 'rtn'), CLEAN],
  },
  {
    name: 'int8-embedding',
    summary: '8-bit embedding and head only, stored once where tied',
    steps: [embedding(8, 'rtn'), TIE, head(8, 'rtn'), CLEAN],
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
