/** What `inspect` learns by planning: what each recipe would save, and whether head and embedding are equal. */

import { PreconditionError } from '../errors.ts';
import { NAMED_RECIPES } from '../recipes/named.ts';
import { runRecipe } from '../recipes/run-recipe.ts';
import type { TieState } from '../report/tables.ts';
import { progressDisplay } from './progress.ts';

/** What a recipe would make of a model: the sizes of a plan, which are those of the output. */
export interface Saving {
  readonly recipe: string;
  /** Undefined when the recipe would change nothing or cannot run. */
  readonly byteLength: number | undefined;
  readonly bitsPerWeight: number | undefined;
  /** Why there is nothing to gain. */
  readonly reason: string | undefined;
}

/** What comparing head and embedding byte by byte, or code by code, tells. */
export interface TableComparison {
  readonly tied: boolean;
  /** In words, with counts. */
  readonly result: string;
  readonly bytesRead: number;
}

/** Plans every named recipe. Reads what their gates compare; memory as for a run. */
export async function planSavings(model: string, component?: string): Promise<Saving[]> {
  const savings: Saving[] = [];
  const display = progressDisplay('auto');
  for (const recipe of NAMED_RECIPES) {
    try {
      const report = await runRecipe(model, recipe, {
        component,
        dryRun: true,
        onProgress: (_, done, total) => display.update(`comparing for ${recipe.name}`, done, total),
      });
      const declined = report.steps.flatMap((step) => step.declined);
      savings.push(
        report.changed
          ? {
              recipe: recipe.name,
              byteLength: report.output.byteLength,
              bitsPerWeight: report.bitsPerWeight,
              reason: undefined,
            }
          : nothing(recipe.name, declined[0]?.reason ?? 'there is nothing to change'),
      );
    } catch (error) {
      if (!(error instanceof PreconditionError)) throw error;
      savings.push(nothing(recipe.name, error.message));
    } finally {
      display.finish();
    }
  }
  return savings;
}

function nothing(recipe: string, reason: string): Saving {
  return { recipe, byteLength: undefined, bitsPerWeight: undefined, reason };
}

/** Compares head and embedding as tying them would. Reads both whole, unless their places tell already. */
export async function compareTables(
  model: string,
  tie: TieState,
  component?: string,
): Promise<TableComparison> {
  if (tie === 'none') {
    return { tied: false, result: 'there is no embedding with a head to compare', bytesRead: 0 };
  }
  if (tie !== 'separate, not compared') {
    return { tied: true, result: 'head and embedding read the same bytes', bytesRead: 0 };
  }
  const recipe = { name: 'compare', steps: [{ surgery: 'tie-word-embeddings', options: {} }] };
  const display = progressDisplay('auto');
  try {
    const report = await runRecipe(model, recipe, {
      component,
      dryRun: true,
      onProgress: (_, done, total) => display.update('comparing tables', done, total),
    });
    const [step] = report.steps;
    const [change] = step?.changes ?? [];
    const [decline] = step?.declined ?? [];
    const result = change?.what ?? decline?.reason ?? 'there is nothing to compare';
    return { tied: change !== undefined, result, bytesRead: report.gateBytesRead };
  } catch (error) {
    if (!(error instanceof PreconditionError)) throw error;
    return { tied: false, result: error.message, bytesRead: 0 };
  } finally {
    display.finish();
  }
}
