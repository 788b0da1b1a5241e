/** The surgeries of a recipe, run one after another on an open model. */

import type { OpenedModel } from '../external-data/open-model.ts';
import type { StreamOptions } from '../external-data/write.ts';
import { misorderedNodes } from '../model/liveness.ts';
import type { Value } from '../model/value.ts';
import { floatRemainder } from '../surgeries/blockwise.ts';
import { findSurgery } from '../surgeries/index.ts';
import { repeatedTables } from '../surgeries/quantized-weights.ts';
import { StreamingGates } from './gates.ts';
import { checkRecipe, type Recipe } from './recipe.ts';
import type { StepReport } from './run-report.ts';

/** What the surgeries of a recipe did. */
export interface StepResults {
  readonly steps: readonly StepReport[];
  readonly warnings: readonly string[];
  /** Source bytes that gates read. */
  readonly bytesRead: number;
}

/** Runs the surgeries of a recipe; `stream` is for what gates compare. */
export type RunSteps = (opened: OpenedModel, stream: StreamOptions) => Promise<StepResults>;

/**
 * The steps of a recipe, to be run. What only the finished model can tell, a weight that is stored as float as well, or in
 * several ways, is a warning. Throws a UsageError for a surgery or option that does not exist.
 */
export function stepsOf(recipe: Recipe): RunSteps {
  checkRecipe(recipe);
  return async ({ model }, stream) => {
    const gates = new StreamingGates(stream);
    const steps: StepReport[] = [];
    const sources = new Set<Value>();
    const wasOrdered = misorderedNodes(model).length === 0;
    for (const { surgery: name, options } of recipe.steps) {
      const surgery = findSurgery(name);
      const { quantized, ...result } = await surgery.run(model, options, gates);
      for (const source of quantized ?? []) sources.add(source);
      steps.push({ surgery: surgery.name, ...result });
    }
    const isEdited = steps.some(({ changes }) => changes.length > 0);
    const [misordered] = isEdited ? misorderedNodes(model) : [];
    if (wasOrdered && misordered !== undefined) {
      throw new Error(`recipe ${recipe.name} left node "${misordered.label}" before its inputs`);
    }
    const warnings = [
      ...[...sources].flatMap((source) => floatRemainder(source) ?? []),
      ...repeatedTables(model),
    ];
    return { steps, warnings, bytesRead: gates.bytesRead };
  };
}
