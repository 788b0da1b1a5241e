/** From an edited model to files: the plan under the names of the output, the write, the commit. */

import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CancelledError } from '../errors.ts';
import { type Asset, copyAssets } from '../external-data/assets.ts';
import { outputModelName, stageOutput } from '../external-data/commit.ts';
import { checkFreeSpace } from '../external-data/disk.ts';
import type { OpenedModel } from '../external-data/open-model.ts';
import type { OutputTarget } from '../external-data/output.ts';
import { planSave, type SavePlan } from '../external-data/plan.ts';
import { freshName } from '../external-data/staging.ts';
import { type StreamOptions, writePlan } from '../external-data/write.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { loadNative } from '../native.ts';
import { dataNames } from './data-names.ts';
import { unshareEmbedded } from './embedded-aliases.ts';

/** Plans an output called `modelName`; in place, the input's data files go on being used. */
function planFor(
  opened: OpenedModel,
  modelPath: string,
  modelName: string,
  inPlace: boolean,
  freeName: (name: string) => string,
): SavePlan {
  const dataNameOf = dataNames(opened, basename(modelPath), modelName, freeName);
  if (dataNameOf === undefined) unshareEmbedded(opened.model);
  const keptLocation = inPlace ? (file: SourceFile) => opened.locations.get(file) : undefined;
  return planSave(opened.model, { modelName, dataNameOf, keptLocation });
}

/** A plan, and what became of it. */
export interface Written {
  readonly plan: SavePlan;
  readonly path: string | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly warnings: readonly string[];
}

/** Where a run writes. */
export interface OutputRequest {
  /** `-o`, or the input's own `.onnx` when `inPlace`. */
  readonly output: string;
  readonly force: boolean;
  readonly inPlace: boolean;
  readonly assets: readonly Asset[];
}

/** Writes the model: staged, flushed, then visible in one step. After an error nothing of it is left. */
export async function writeOutput(
  opened: OpenedModel,
  modelPath: string,
  request: OutputRequest,
  stream: StreamOptions,
): Promise<Written> {
  const { output, force, inPlace, assets } = request;
  const staged = await stageOutput(output, {
    force,
    replacesInput: inPlace,
    inputPaths: opened.files.inputPaths,
    renameExchange: loadNative()?.renameExchange,
  });
  try {
    const modelName = outputModelName(staged.target, modelPath);
    const plan = planFor(opened, modelPath, modelName, inPlace, (name) =>
      staged.dataFileName(name),
    );
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
export function planOnly(
  opened: OpenedModel,
  modelPath: string,
  target: OutputTarget | undefined,
  inPlace: boolean,
): Written {
  const modelName = target === undefined ? basename(modelPath) : outputModelName(target, modelPath);
  const plan = planFor(opened, modelPath, modelName, inPlace, (name) =>
    inPlace ? freshName(name, (taken) => existsSync(join(dirname(modelPath), taken))) : name,
  );
  return { plan, path: target?.path, bytesRead: 0, bytesWritten: 0, warnings: [] };
}
