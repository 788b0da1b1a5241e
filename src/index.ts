/** The public interface of onnx-lathe. */

export {
  CancelledError,
  type ErrorCode,
  FormatError,
  LatheError,
  PreconditionError,
  ResourceError,
  UsageError,
} from './errors.ts';
export { compareOutputs, type OutputComparison } from './evaluate/compare-outputs.ts';
export {
  type EvaluateOptions,
  evaluateModel,
  type PerplexityResult,
} from './evaluate/perplexity.ts';
export { readTokens } from './evaluate/tokens.ts';
export type { Layout } from './external-data/layout.ts';
export { NAMED_RECIPES, namedRecipe } from './recipes/named.ts';
export type { Recipe, RecipeStep } from './recipes/recipe.ts';
export { type RunRecipeOptions, runRecipe } from './recipes/run-recipe.ts';
export type { RunReport, StepReport, TensorReport } from './recipes/run-report.ts';
export {
  type CheckedCounts,
  type CheckOptions,
  type CheckReport,
  checkModel,
} from './report/check.ts';
export { type DiffOptions, type DiffReport, diffModels, type TensorDiff } from './report/diff.ts';
export type { DigestOptions, DigestReport } from './report/digest.ts';
export type { Finding, FindingCode, FindingCounts, Place, Severity } from './report/findings.ts';
export { type InspectReport, inspectModel } from './report/inspect.ts';
export { SURGERIES } from './surgeries/index.ts';
