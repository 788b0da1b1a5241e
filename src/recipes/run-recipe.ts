/** The one way a model is changed: open → surgeries → plan → write → commit. Repacking is a run without surgeries. */

import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { countWeights } from '../anatomy/weight-count.ts';
import { UsageError } from '../errors.ts';
import { listAssets } from '../external-data/assets.ts';
import { freeSpace } from '../external-data/disk.ts';
import { checkLayout } from '../external-data/layout.ts';
import { resolveModelPath } from '../external-data/model-path.ts';
import { type OpenedModel, openModel } from '../external-data/open-model.ts';
import { checkOutput } from '../external-data/output.ts';
import type { SavePlan } from '../external-data/plan.ts';
import { isSafetensorsName } from '../external-data/safetensors.ts';
import { headerByteLength } from '../external-data/safetensors-header.ts';
import type { StreamOptions } from '../external-data/write.ts';
import { UsedBytes } from '../model/used-bytes.ts';
import { DEFAULT_MEMORY_BYTES } from '../stream/budget.ts';
import type { IoMode } from '../stream/executor.ts';
import { peakRssBytes } from './peak-memory.ts';
import { planOutput, unchangedInPlace, unwritten, type Written } from './plan-output.ts';
import type { Recipe } from './recipe.ts';
import { type RunReport, TensorReports } from './run-report.ts';
import type { RunSteps } from './run-steps.ts';

/** What is going on, for progress: comparing tables, or writing the output. */
export type RunPhase = 'comparing' | 'writing';

/** How to run a recipe. */
export interface RunRecipeOptions {
  /** Which `.onnx` of a package of several. */
  readonly component?: string | undefined;
  /** Directory of the result, or a name ending in `.onnx`. Needed unless `dryRun`. */
  readonly output?: string | undefined;
  /**
   * Edit the model where it is instead of writing `output`: new tensors go to a data file under a fresh name, the
   * `.onnx` is replaced last. Old data files stay as they are; when the recipe has a layout, those that no `.onnx` of
   * the directory uses any more are removed at the end.
   */
  readonly inPlace?: boolean | undefined;
  /** Replace an existing output. */
  readonly force?: boolean | undefined;
  /**
   * Wait until the output is on the disk before it becomes visible; default true. Without it a power cut soon after
   * the run may lose the output, so it must be a new one: not `force`, not `inPlace`.
   */
  readonly sync?: boolean | undefined;
  /** Plan with exact sizes and write nothing. */
  readonly dryRun?: boolean | undefined;
  /** Copy tokenizer, configuration and templates along; default true. */
  readonly assets?: boolean | undefined;
  /** Windows, buffers and native scratch together, in bytes; default 64 MiB. */
  readonly memoryBytes?: number | undefined;
  /** Measure how far quantized weights are from their sources, as they are written; default false. */
  readonly measured?: boolean | undefined;
  /** Default: all processors. */
  readonly threads?: number | undefined;
  readonly io?: IoMode | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called at most ten times a second. */
  readonly onProgress?:
    | ((phase: RunPhase, bytesDone: number, bytesTotal: number) => void)
    | undefined;
}

/** Runs the surgeries of a recipe. They are loaded when there are any: a repack has none, and often nothing to do. */
async function loadSteps(recipe: Recipe): Promise<RunSteps> {
  if (recipe.steps.length === 0 && recipe.layout !== undefined) {
    checkLayout(recipe.layout);
    return async () => ({ steps: [], warnings: [], bytesRead: 0 });
  }
  const { stepsOf } = await import('./run-steps.ts');
  return stepsOf(recipe);
}

/** Bytes of the model's data files that no tensor of the output refers to any more. */
function deadBytes({ files, locations }: OpenedModel, { tensors }: Written['plan']): number {
  const data = files.files.filter((file) => file !== files.model);
  const uses = new UsedBytes();
  for (const { named, placement } of tensors) {
    if (placement.kind === 'external') uses.add(named.tensor);
  }
  const used = uses.byFile();
  return data.reduce((sum, file) => {
    const alive = used.get(file)?.distinct ?? 0;
    // A file in use needs its header.
    const isSafetensors = alive > 0 && isSafetensorsName(locations.get(file) ?? '');
    return sum + file.byteLength - alive - (isSafetensors ? headerByteLength(file) : 0);
  }, 0);
}

/**
 * Runs a recipe on a model, a `.onnx` file or a directory that holds one. The model is read once, what gates compare
 * comes on top; the output appears whole or not at all, and the input is never written. When no surgery changes
 * anything, nothing is written and `changed` is false; a recipe with a layout is written all the same, but in place
 * only when the files are not laid out so already. Memory: `memoryBytes`, the graph, and Node.
 *
 * Throws the errors of errors.ts; after any of them inputs and older outputs are as they were.
 */
export async function runRecipe(
  model: string,
  recipe: Recipe,
  options: RunRecipeOptions = {},
): Promise<RunReport> {
  const startedAt = process.hrtime.bigint();
  const runSteps = await loadSteps(recipe);
  const resolved = resolveModelPath(model, options.component);
  using opened = openModel(resolved.path);
  const inputPaths = opened.files.inputPaths;
  const inPlace = options.inPlace === true;
  if (inPlace && options.output !== undefined) {
    throw new UsageError('ERR_OPTION', 'an edit in place has no output');
  }
  const output = inPlace ? resolved.path : options.output;
  const force = options.force === true;
  if (options.sync === false && (inPlace || force)) {
    throw new UsageError('ERR_OPTION', 'an output that is not flushed cannot replace anything', {
      hint: 'write to a new output, or leave out --no-sync',
    });
  }
  // Refused before the work, not after it.
  const target =
    output === undefined
      ? undefined
      : checkOutput(output, { force, inputPaths, replacesInput: inPlace });
  const free = target && freeSpace(target.directory);
  const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
  const progress = (phase: RunPhase) => (done: number, total: number) =>
    options.onProgress?.(phase, done, total);
  const stream = (phase: RunPhase): StreamOptions => ({
    memoryBytes,
    threads: options.threads ?? availableParallelism(),
    io: options.io ?? 'auto',
    sync: options.sync,
    signal: options.signal,
    onProgress: progress(phase),
  });
  const weights = countWeights(opened.model);
  const { steps, ...ran } = await runSteps(opened, stream('comparing'));
  const list =
    options.assets === false || inPlace
      ? { assets: [], skipped: [] }
      : listAssets(opened.files.roots, inputPaths);
  const { assets } = list;
  const { layout } = recipe;
  const request = { opened, modelPath: resolved.path, target, inPlace, layout, assets };
  const isEdited = steps.some((step) => step.changes.length > 0);
  const unchanged = inPlace && !isEdited ? unchangedInPlace(request) : undefined;
  const changed = isEdited || (layout !== undefined && unchanged === undefined);
  const write = async (plan: SavePlan): Promise<Written> => {
    if (!changed || options.dryRun === true || target === undefined)
      return unwritten(request, plan);
    const { writeOutput } = await import('./write-output.ts');
    const measured = options.measured === true;
    return writeOutput({ ...request, target }, plan, { ...stream('writing'), measured });
  };
  const written = unchanged ?? (await write(planOutput(request)));
  const dead = changed && inPlace && layout === undefined ? deadBytes(opened, written.plan) : 0;
  const warnings = [
    ...opened.warnings,
    ...steps.flatMap((step) => step.warnings),
    ...ran.warnings,
    ...written.warnings,
    ...(dead === 0
      ? []
      : [`${dead} bytes of the old data files are no longer used; repack --in-place drops them`]),
  ];
  const inputBytes = opened.files.files.reduce((sum, file) => sum + file.byteLength, 0);
  return {
    recipe: recipe.name,
    input: { path: resolved.path, byteLength: inputBytes },
    output: {
      path: written.path,
      byteLength: written.plan.byteLength,
      files: written.plan.files,
      removed: written.removed,
    },
    steps,
    changed,
    dryRun: options.dryRun === true,
    tensors: new TensorReports(written.plan),
    aliases: written.plan.aliases,
    weights,
    bitsPerWeight: weights === 0 ? 0 : (written.plan.valueBytes * 8) / weights,
    assets: list.assets.map((asset) => asset.relativePath),
    freeDiskBytes: free === undefined ? undefined : Number(free),
    memoryBytes,
    skipped: [
      ...list.skipped.map(({ relativePath, reason }) => ({ name: relativePath, reason })),
      ...resolved.otherModels.map((name) => ({
        name,
        reason: `another model of the package in ${dirname(resolved.path)}`,
      })),
    ],
    warnings,
    gateBytesRead: ran.bytesRead,
    bytesRead: ran.bytesRead + written.bytesRead,
    bytesWritten: written.bytesWritten,
    sharedBytes: written.sharedBytes,
    errors: written.errors,
    seconds: Number(process.hrtime.bigint() - startedAt) / 1e9,
    peakRssBytes: peakRssBytes(),
  };
}
