/** The one way a model is changed: open → surgeries → plan → write → commit. */

import { availableParallelism } from 'node:os';
import { basename, dirname } from 'node:path';
import { countWeights } from '../anatomy/weight-count.ts';
import { CancelledError } from '../errors.ts';
import { type Asset, copyAssets, listAssets } from '../external-data/assets.ts';
import { outputModelName, stageOutput } from '../external-data/commit.ts';
import { checkFreeSpace, freeSpace } from '../external-data/disk.ts';
import { resolveModelPath } from '../external-data/model-path.ts';
import { type OpenedModel, openModel } from '../external-data/open-model.ts';
import { checkOutput, type OutputTarget } from '../external-data/output.ts';
import { planSave, type SavePlan } from '../external-data/plan.ts';
import { type StreamOptions, writePlan } from '../external-data/write.ts';
import { misorderedNodes } from '../model/liveness.ts';
import { loadNative } from '../native.ts';
import { DEFAULT_MEMORY_BYTES } from '../stream/budget.ts';
import type { IoMode } from '../stream/executor.ts';
import { findSurgery } from '../surgeries/index.ts';
import type { SurgeryResult } from '../surgeries/surgery.ts';
import { dataNames } from './data-names.ts';
import { unshareEmbedded } from './embedded-aliases.ts';
import { StreamingGates } from './gates.ts';
import { checkRecipe, type Recipe } from './recipe.ts';

/** What is going on, for progress: comparing tables, or writing the output. */
export type RunPhase = 'comparing' | 'writing';

/** How to run a recipe. */
export interface RunRecipeOptions {
  /** Which `.onnx` of a package of several. */
  readonly component?: string | undefined;
  /** Directory of the result, or a name ending in `.onnx`. Needed unless `dryRun`. */
  readonly output?: string | undefined;
  /** Replace an existing output. */
  readonly force?: boolean | undefined;
  /** Plan with exact sizes and write nothing. */
  readonly dryRun?: boolean | undefined;
  /** Copy tokenizer, configuration and templates along; default true. */
  readonly assets?: boolean | undefined;
  /** Windows, buffers and native scratch together, in bytes; default 64 MiB. */
  readonly memoryBytes?: number | undefined;
  /** Default: all processors. */
  readonly threads?: number | undefined;
  readonly io?: IoMode | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called at most ten times a second. */
  readonly onProgress?:
    | ((phase: RunPhase, bytesDone: number, bytesTotal: number) => void)
    | undefined;
}

/** One surgery of the run and what it did. */
export interface StepReport extends SurgeryResult {
  readonly surgery: string;
}

/** A tensor of the output. */
export interface TensorReport {
  readonly name: string;
  readonly dtype: number;
  readonly dims: readonly number[];
  readonly byteLength: number;
  readonly placement: 'proto' | 'inline' | 'embedded' | 'external';
  /** True when this run makes its bytes, false when they are copied. */
  readonly isDerived: boolean;
}

/** What a run did, or would do. Sizes in bytes. */
export interface RunReport {
  readonly recipe: string;
  readonly input: { readonly path: string; readonly byteLength: number };
  readonly output: {
    /** Undefined for a dry run without `output`. */
    readonly path: string | undefined;
    readonly byteLength: number;
    readonly files: readonly { readonly name: string; readonly byteLength: number }[];
  };
  readonly steps: readonly StepReport[];
  /** False when no surgery changed anything; then nothing was written. */
  readonly changed: boolean;
  readonly dryRun: boolean;
  readonly tensors: readonly TensorReport[];
  /** Tensors that share the bytes of another. */
  readonly aliases: number;
  /** Weights of the input, each stored copy counted once. */
  readonly weights: number;
  /** Stored bits per weight of the output, scales and zero points included. */
  readonly bitsPerWeight: number;
  readonly assets: readonly string[];
  /** Free bytes where the output goes; undefined without `output`, or where the file system does not say. */
  readonly freeDiskBytes: number | undefined;
  /** The budget the bytes move in; Node and the graph come on top. */
  readonly memoryBytes: number;
  /** Files of the package that were not taken along, with the reason. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  readonly warnings: readonly string[];
  /** Source bytes read by gates before the write. */
  readonly gateBytesRead: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly seconds: number;
  /** Largest resident set of this process so far. */
  readonly peakRssBytes: number;
}

async function runSteps(
  opened: OpenedModel,
  recipe: Recipe,
  gates: StreamingGates,
): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  const wasOrdered = misorderedNodes(opened.model).length === 0;
  for (const { surgery: name, options } of recipe.steps) {
    const surgery = findSurgery(name);
    reports.push({ surgery: surgery.name, ...(await surgery.run(opened.model, options, gates)) });
  }
  const [misordered] = misorderedNodes(opened.model);
  if (wasOrdered && misordered !== undefined) {
    throw new Error(`recipe ${recipe.name} left node "${misordered.label}" before its inputs`);
  }
  return reports;
}

function tensorReports(plan: SavePlan): TensorReport[] {
  return plan.tensors.map(({ name, tensor, placement }) => ({
    name,
    dtype: tensor.dtype,
    dims: tensor.dims,
    byteLength: placement.kind === 'proto' ? (tensor.byteLength ?? 0) : placement.byteLength,
    placement: placement.kind,
    isDerived: tensor.data.kind === 'derived',
  }));
}

function payloadBytes(plan: SavePlan): number {
  let bytes = plan.writes.reduce((sum, write) => sum + write.byteLength, 0);
  for (const { placement } of plan.tensors) {
    if (placement.kind === 'inline') bytes += placement.byteLength;
  }
  return bytes;
}

/** Plans without an output: the names of the input. */
function planFor(
  opened: OpenedModel,
  modelPath: string,
  modelName: string,
  freeName: (name: string) => string,
): SavePlan {
  const dataNameOf = dataNames(opened, basename(modelPath), modelName, freeName);
  if (dataNameOf === undefined) unshareEmbedded(opened.model);
  return planSave(opened.model, { modelName, dataNameOf });
}

interface Written {
  readonly plan: SavePlan;
  readonly path: string | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly warnings: readonly string[];
}

async function writeOutput(
  opened: OpenedModel,
  modelPath: string,
  output: string,
  assets: readonly Asset[],
  options: RunRecipeOptions,
  stream: StreamOptions,
): Promise<Written> {
  const staged = await stageOutput(output, {
    force: options.force === true,
    inputPaths: opened.files.inputPaths,
    renameExchange: loadNative()?.renameExchange,
  });
  try {
    const modelName = outputModelName(staged.target, modelPath);
    const plan = planFor(opened, modelPath, modelName, (name) => staged.dataFileName(name));
    const assetBytes = assets.reduce((sum, asset) => sum + asset.byteLength, 0);
    checkFreeSpace(staged.directory, plan.byteLength + assetBytes);
    const { bytesRead, bytesWritten } = await writePlan(plan, staged.directory, stream);
    await copyAssets(assets, staged.directory);
    opened.files.verifyUnchanged();
    if (stream.signal?.aborted) throw new CancelledError();
    const data = plan.files.slice(1).map((file) => file.name);
    const { modelPath: path, leftovers } = await staged.commit({ model: modelName, data });
    const warnings = leftovers.map((file) => `${file} could not be removed`);
    return { plan, path, bytesRead, bytesWritten, warnings };
  } finally {
    await staged.abort();
  }
}

/** The output as a dry run sees it: checked, not touched. */
function planOnly(
  opened: OpenedModel,
  modelPath: string,
  target: OutputTarget | undefined,
): Written {
  const modelName = target === undefined ? basename(modelPath) : outputModelName(target, modelPath);
  const plan = planFor(opened, modelPath, modelName, (name) => name);
  return { plan, path: target?.path, bytesRead: 0, bytesWritten: 0, warnings: [] };
}

/**
 * Runs a recipe on a model, a `.onnx` file or a directory that holds one. The model is read once, what gates compare
 * comes on top; the output appears whole or not at all, and the input is never written. When no surgery changes
 * anything, nothing is written and `changed` is false. Memory: `memoryBytes`, the graph, and Node.
 *
 * Throws the errors of errors.ts; after any of them inputs and older outputs are as they were.
 */
export async function runRecipe(
  model: string,
  recipe: Recipe,
  options: RunRecipeOptions = {},
): Promise<RunReport> {
  const startedAt = process.hrtime.bigint();
  checkRecipe(recipe);
  const resolved = resolveModelPath(model, options.component);
  using opened = openModel(resolved.path);
  const inputPaths = opened.files.inputPaths;
  const { output } = options;
  const force = options.force === true;
  // Refused before the work, not after it.
  const target = output === undefined ? undefined : checkOutput(output, { force, inputPaths });
  const free = target && freeSpace(target.directory);
  const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
  const progress = (phase: RunPhase) => (done: number, total: number) =>
    options.onProgress?.(phase, done, total);
  const stream = (phase: RunPhase): StreamOptions => ({
    memoryBytes,
    threads: options.threads ?? availableParallelism(),
    io: options.io ?? 'auto',
    signal: options.signal,
    onProgress: progress(phase),
  });
  const weights = countWeights(opened.model);
  const gates = new StreamingGates(stream('comparing'));
  const steps = await runSteps(opened, recipe, gates);
  const changed = steps.some((step) => step.changes.length > 0);
  const list =
    options.assets === false
      ? { assets: [], skipped: [] }
      : listAssets(resolved.path, [...inputPaths]);
  const written =
    changed && options.dryRun !== true && output !== undefined
      ? await writeOutput(opened, resolved.path, output, list.assets, options, stream('writing'))
      : planOnly(opened, resolved.path, target);
  const { plan } = written;
  const inputBytes = opened.files.files.reduce((sum, file) => sum + file.byteLength, 0);
  return {
    recipe: recipe.name,
    input: { path: resolved.path, byteLength: inputBytes },
    output: { path: written.path, byteLength: plan.byteLength, files: plan.files },
    steps,
    changed,
    dryRun: options.dryRun === true,
    tensors: tensorReports(plan),
    aliases: plan.aliases,
    weights,
    bitsPerWeight: weights === 0 ? 0 : (payloadBytes(plan) * 8) / weights,
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
    warnings: [...opened.warnings, ...steps.flatMap((step) => step.warnings), ...written.warnings],
    gateBytesRead: gates.bytesRead,
    bytesRead: gates.bytesRead + written.bytesRead,
    bytesWritten: written.bytesWritten,
    seconds: Number(process.hrtime.bigint() - startedAt) / 1e9,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
  };
}
