/** From an edited model to files: the plan under the names of the output, the write, the commit. */

import { basename, join } from 'node:path';
import { CancelledError, UsageError } from '../errors.ts';
import { type Asset, copyAssets } from '../external-data/assets.ts';
import { outputModelName, stageOutput } from '../external-data/commit.ts';
import { lstatIfPresent } from '../external-data/directory-entries.ts';
import type { Layout } from '../external-data/layout.ts';
import type { OpenedModel } from '../external-data/open-model.ts';
import type { OutputTarget } from '../external-data/output.ts';
import { planSave, type SavePlan } from '../external-data/plan.ts';
import { removeReplacedData, replacedData } from '../external-data/replaced-data.ts';
import { type StreamOptions, writePlan } from '../external-data/write.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { loadNative } from '../native.ts';
import { dataNames } from './data-names.ts';
import { unshareEmbedded } from './embedded-aliases.ts';

/** A model, edited, and where it shall go. */
export interface OutputRequest {
  readonly opened: OpenedModel;
  /** The `.onnx` that was opened. */
  readonly modelPath: string;
  /** Undefined for a plan of an output that has no place yet. */
  readonly target: OutputTarget | undefined;
  /** The target is the input's own `.onnx`. */
  readonly inPlace: boolean;
  /** Undefined keeps the input's data files and, in place, their content. */
  readonly layout: Layout | undefined;
  readonly assets: readonly Asset[];
}

/** What became of a plan. */
export interface Written {
  readonly plan: SavePlan;
  readonly path: string | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly sharedBytes: number;
  /** Old data files that are removed, as the model named them. */
  readonly removed: readonly string[];
  readonly warnings: readonly string[];
}

function modelNameOf({ target, modelPath }: OutputRequest): string {
  return target === undefined ? basename(modelPath) : outputModelName(target, modelPath);
}

function planWith(request: OutputRequest, isTaken: (name: string) => boolean): SavePlan {
  const { opened, modelPath, inPlace, layout } = request;
  const modelName = modelNameOf(request);
  const dataNameOf = dataNames(opened, basename(modelPath), modelName, layout);
  if (dataNameOf === undefined) unshareEmbedded(opened.model);
  // The `.onnx` may be its own data file; it is replaced, whatever it holds.
  const locationOf = (file: SourceFile) =>
    file === opened.files.model ? undefined : opened.locations.get(file);
  return planSave(opened.model, {
    modelName,
    dataNameOf,
    isTaken,
    layout: layout ?? {},
    kept: inPlace ? { what: layout === undefined ? 'ranges' : 'files', locationOf } : undefined,
  });
}

/** Throws a UsageError when a data file would have the name of a file that comes along. */
function checkAssetNames(plan: SavePlan, assets: readonly Asset[]): void {
  for (const { name } of plan.files.slice(1)) {
    const asset = assets.find(
      ({ relativePath }) => relativePath === name || relativePath.startsWith(`${name}/`),
    );
    if (asset === undefined) continue;
    throw new UsageError(
      'ERR_OPTION',
      `the data file ${name} would replace ${asset.relativePath}`,
      {
        hint: 'give another data name, or leave the other files behind with --no-assets',
      },
    );
  }
}

/**
 * Plans an output. Touches nothing, so that it is also a dry run. Data files get names that are free where the output
 * shares its directory with other files.
 */
export function planOutput(request: OutputRequest): SavePlan {
  const { target, assets } = request;
  const isShared = target?.state === 'shared';
  const plan = planWith(
    request,
    (name) => isShared && lstatIfPresent(join(target.directory, name)) !== undefined,
  );
  checkAssetNames(plan, assets);
  return plan;
}

/** The old data files that an edit in place with a layout leaves without a use. */
function replaced({ opened, modelPath, inPlace, layout }: OutputRequest, plan: SavePlan) {
  if (!inPlace || layout === undefined) return { removable: [], reasons: [] };
  return replacedData(opened, modelPath, plan);
}

/** What a dry run tells of a plan. */
export function unwritten(request: OutputRequest, plan: SavePlan): Written {
  const { removable, reasons } = replaced(request, plan);
  return {
    plan,
    path: request.target?.path,
    bytesRead: 0,
    bytesWritten: 0,
    sharedBytes: 0,
    removed: removable.map(({ location }) => location),
    warnings: [...plan.warnings, ...reasons],
  };
}

/**
 * Writes a plan: staged, flushed, then visible in one step; then what it replaced goes. After an error nothing of it
 * is left.
 */
export async function writeOutput(
  request: OutputRequest & { readonly target: OutputTarget },
  planned: SavePlan,
  stream: StreamOptions,
): Promise<Written> {
  const { opened, target, inPlace, assets } = request;
  const staged = await stageOutput(target.path, {
    force: target.force,
    replacesInput: inPlace,
    inputPaths: opened.files.inputPaths,
    renameExchange: loadNative()?.renameExchange,
  });
  try {
    // Only now it is known whether an older output is swapped as a whole or gives way file by file.
    const isTaken = (name: string) => staged.isNameTaken(name);
    const isFree = planned.files.slice(1).every(({ name }) => !isTaken(name));
    const plan = isFree ? planned : planWith(request, isTaken);
    const assetBytes = assets.reduce((sum, asset) => sum + asset.byteLength, 0);
    const moved = await writePlan(plan, staged.directory, stream, assetBytes);
    await copyAssets(assets, staged.directory);
    opened.files.verifyUnchanged();
    if (stream.signal?.aborted) throw new CancelledError();
    const model = modelNameOf(request);
    const data = plan.files.slice(1).map((file) => file.name);
    const { modelPath: path, leftovers } = await staged.commit({ model, data });
    const { removable, reasons } = replaced(request, plan);
    const { removed, leftovers: unremoved } = await removeReplacedData(removable);
    const warnings = [
      ...plan.warnings,
      ...reasons,
      ...[...leftovers, ...unremoved].map((file) => `${file} could not be removed`),
    ];
    return { plan, path, ...moved, removed, warnings };
  } finally {
    await staged.abort();
  }
}
