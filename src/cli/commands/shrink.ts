/** `onnx-lathe shrink <model>`: a named recipe. */

import { namedRecipe } from '../../recipes/named.ts';
import type { Recipe } from '../../recipes/recipe.ts';
import { findSurgery } from '../../surgeries/index.ts';
import type { WriteFlags } from '../shared-flags.ts';
import { runWriteCommand } from './write-command.ts';

/** Flags of `shrink`. */
export interface ShrinkFlags extends WriteFlags {
  readonly recipe: string;
  readonly minSnr?: string;
}

/** The recipe with a bound for every surgery that quantizes. */
function withMinSnr(recipe: Recipe, minSnr: string | undefined): Recipe {
  if (minSnr === undefined) return recipe;
  const steps = recipe.steps.map((step) =>
    'minSnr' in findSurgery(step.surgery).options
      ? { ...step, options: { ...step.options, minSnr } }
      : step,
  );
  return { ...recipe, steps };
}

export function shrinkCommand(model: string, flags: ShrinkFlags): Promise<number> {
  return runWriteCommand(model, withMinSnr(namedRecipe(flags.recipe), flags.minSnr), flags);
}
