/** From a plan to files: the write, the commit, and what the new files replace. */

import { CancelledError } from '../errors.ts';
import { copyAssets } from '../external-data/assets.ts';
import { stageOutput } from '../external-data/commit.ts';
import type { OutputTarget } from '../external-data/output.ts';
import type { SavePlan } from '../external-data/plan.ts';
import { removeReplacedData } from '../external-data/replaced-data.ts';
import { type WriteOptions, writePlan } from '../external-data/write.ts';
import { loadNative } from '../native.ts';
import {
  modelNameOf,
  type OutputRequest,
  planWith,
  replaced,
  type Written,
} from './plan-output.ts';

/**
 * Writes a plan: staged, flushed if asked, then visible in one step; then what it replaced goes. After an error nothing of it
 * is left.
 */
export async function writeOutput(
  request: OutputRequest & { readonly target: OutputTarget },
  planned: SavePlan,
  stream: WriteOptions,
): Promise<Written> {
  const { opened, target, inPlace, assets } = request;
  const staged = await stageOutput(target.path, {
    force: target.force,
    replacesInput: inPlace,
    inputPaths: opened.files.inputPaths,
    sync: stream.sync,
    renameExchange: loadNative()?.renameExchange,
  });
  try {
    // Only now it is known whether an older output is swapped as a whole or gives way file by file.
    const isTaken = (name: string) => staged.isNameTaken(name);
    const isFree = planned.dataFiles.every(({ name }) => !isTaken(name));
    const plan = isFree ? planned : planWith(request, isTaken);
    const assetBytes = assets.reduce((sum, asset) => sum + asset.byteLength, 0);
    const moved = await writePlan(plan, staged.directory, stream, assetBytes);
    copyAssets(assets, staged.directory, loadNative()?.openBeneath);
    opened.files.verifyUnchanged();
    if (stream.signal?.aborted) throw new CancelledError();
    const model = modelNameOf(request);
    const data = plan.dataFiles.map((file) => file.name);
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
