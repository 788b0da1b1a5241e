/** The recipes that have names. Pure. */

import { UsageError } from '../errors.ts';
import { suggestion } from '../surgeries/options.ts';
import type { Recipe, RecipeStep } from './recipe.ts';

/** A named recipe and what help says of it. */
export interface NamedRecipe extends Recipe {
  readonly summary: string;
}

/** Tables at 8 bits lose nothing that shows by blocks of 64, and are 4 % smaller by them. */
const TABLE_8 = { bits: 8, method: 'rtn', blockSize: 64 } as const;

const EMBEDDING_8: RecipeStep = { surgery: 'quantize-embedding', options: TABLE_8 };
const HEAD_8: RecipeStep = {
  surgery: 'quantize-matmul',
  options: { ...TABLE_8, include: ['@head?'] },
};
const TIE: RecipeStep = { surgery: 'tie-word-embeddings', options: {} };
const CLEAN: RecipeStep = { surgery: 'remove-unused', options: {} };

function body(options: RecipeStep['options']): RecipeStep {
  return { surgery: 'quantize-matmul', options };
}

/** The layers that bear blocks of 64 at 4 bits best: with them the result is 2.3 % smaller and no worse. */
const WIDE_BLOCKS = {
  '@gate?': { blockSize: 64 },
  '@up?': { blockSize: 64 },
  '@gate-up?': { blockSize: 64 },
} as const;

/**
 * In the order help lists them; the first is the default. Methods and blocks by the perplexity of examples/austen-tiny:
 * docs/methods.md has the table.
 */
export const NAMED_RECIPES: readonly NamedRecipe[] = [
  {
    name: 'q4',
    summary: '4-bit body, 8-bit embedding and head, stored once where tied',
    steps: [EMBEDDING_8, TIE, HEAD_8, body({ bits: 4, method: 'k-quant' }), CLEAN],
  },
  {
    name: 'q4-small',
    summary: '4 bits everywhere, embedding and head stored once where tied',
    steps: [
      { surgery: 'quantize-embedding', options: { bits: 4, method: 'search' } },
      TIE,
      body({
        bits: 4,
        method: 'search',
        // Of all roles the one that gains by weights: with them everywhere the result is no better, only slower.
        set: { ...WIDE_BLOCKS, '@down?': { method: 'k-quant' } },
      }),
      CLEAN,
    ],
  },
  {
    name: 'q4-mixed',
    summary: 'q4 with 8 bits for value and down projections of sensitive layers too',
    steps: [
      EMBEDDING_8,
      TIE,
      HEAD_8,
      body({ bits: 4, method: 'k-quant', mixed: 'k_quant_mixed' }),
      CLEAN,
    ],
  },
  {
    name: 'q8',
    summary: '8 bits everywhere, embedding and head stored once where tied',
    steps: [EMBEDDING_8, TIE, HEAD_8, body({ bits: 8, method: 'rtn' }), CLEAN],
  },
  {
    name: 'int8-embedding',
    summary: '8-bit embedding and head only, stored once where tied',
    steps: [EMBEDDING_8, TIE, HEAD_8, CLEAN],
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
