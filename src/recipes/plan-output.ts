/** From an edited model to a plan: the names of the output, what is taken, what is left over. Touches nothing. */

import { basename, join } from 'node:path';
import { UsageError } from '../errors.ts';
import type { Asset } from '../external-data/assets.ts';
import { lstatIfPresent } from '../external-data/directory-entries.ts';
import type { Layout } from '../external-data/layout.ts';
import type { OpenedModel } from '../external-data/open-model.ts';
import { type OutputTarget, outputModelName } from '../external-data/output.ts';
import { type PlanOptions, placeTensors, planSave, type SavePlan } from '../external-data/plan.ts';
import { replacedData } from '../external-data/replaced-data.ts';
import type { TensorError } from '../external-data/write.ts';
import type { SourceFile } from '../model/tensor-data.ts';
import { fileReader } from '../proto/file-reader.ts';
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
  readonly plan: Pick<SavePlan, 'files' | 'byteLength' | 'tensors' | 'aliases' | 'valueBytes'>;
  readonly path: string | undefined;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly sharedBytes: number;
  readonly errors: readonly TensorError[];
  /** Old data files that are removed, as the model named them. */
  readonly removed: readonly string[];
  readonly warnings: readonly string[];
}

/** File name of the model in the output. */
export function modelNameOf({ target, modelPath }: OutputRequest): string {
  return target === undefined ? basename(modelPath) : outputModelName(target, modelPath);
}

function holds({ fd, byteLength, path }: SourceFile, byteOffset: number, bytes: Uint8Array) {
  const isInside = byteOffset + bytes.length <= byteLength;
  const found = isInside && fileReader(fd, byteLength, path).read(byteOffset, bytes.length);
  return found !== false && Buffer.compare(found, bytes) === 0;
}

function planOptions(request: OutputRequest, isTaken: (name: string) => boolean): PlanOptions {
  const { opened, modelPath, inPlace, layout } = request;
  const modelName = modelNameOf(request);
  // The `.onnx` may be its own data file; it is replaced, whatever it holds.
  const locationOf = (file: SourceFile) =>
    file === opened.files.model ? undefined : opened.locations.get(file);
  return {
    modelName,
    dataNameOf: dataNames(opened, basename(modelPath), modelName, layout),
    isTaken,
    layout: layout ?? {},
    kept: inPlace
      ? { what: layout === undefined ? 'ranges' : 'files', locationOf, holds }
      : undefined,
  };
}

/** Whether a name is in use in the directory that the output goes to and shares with other files. */
function isInUse({ target }: OutputRequest): (name: string) => boolean {
  if (target?.state !== 'shared') return () => false;
  return (name) => lstatIfPresent(join(target.directory, name)) !== undefined;
}

/** Plans an output whose data files must not have names that are taken. */
export function planWith(request: OutputRequest, isTaken: (name: string) => boolean): SavePlan {
  const options = planOptions(request, isTaken);
  if (options.dataNameOf === undefined) unshareEmbedded(request.opened.model);
  return planSave(request.opened.model, options);
}

/** Throws a UsageError when a data file would have the name of the model or of a file that comes along. */
function checkDataNames({ dataFiles }: SavePlan, request: OutputRequest): void {
  const others = [modelNameOf(request), ...request.assets.map(({ relativePath }) => relativePath)];
  for (const { name } of dataFiles) {
    const other = others.find((path) => path === name || path.startsWith(`${name}/`));
    if (other === undefined) continue;
    throw new UsageError('ERR_OPTION', `the data file ${name} would replace ${other}`, {
      hint: 'give another data name, or leave other files behind with --no-assets',
    });
  }
}

/**
 * Plans an output. Touches nothing, so that it is also a dry run. Data files get names that are free where the output
 * shares its directory with other files.
 */
export function planOutput(request: OutputRequest): SavePlan {
  const plan = planWith(request, isInUse(request));
  checkDataNames(plan, request);
  return plan;
}

/** The old data files that an edit in place with a layout leaves without a use. */
export function replaced({ opened, modelPath, inPlace, layout }: OutputRequest, plan: SavePlan) {
  if (!inPlace || layout === undefined) return { removable: [], reasons: [] };
  return replacedData(opened, modelPath, plan);
}

const NOTHING = { bytesRead: 0, bytesWritten: 0, sharedBytes: 0, errors: [] };

/**
 * What a run in place tells of a model that nothing changed and that is laid out as asked already; undefined of any
 * other. Fast: no plan.
 */
export function unchangedInPlace(request: OutputRequest): Written | undefined {
  const { opened, target } = request;
  const placing = placeTensors(opened.model, planOptions(request, isInUse(request)));
  if (placing.movesBytes) return undefined;
  const { byteLength } = opened.files.model;
  const files = [{ name: modelNameOf(request), byteLength }];
  const { warnings } = placing;
  return {
    plan: { ...placing, files, byteLength },
    path: target?.path,
    ...NOTHING,
    removed: [],
    warnings,
  };
}

/** What a dry run tells of a plan. */
export function unwritten(request: OutputRequest, plan: SavePlan): Written {
  const { removable, reasons } = replaced(request, plan);
  return {
    plan,
    path: request.target?.path,
    ...NOTHING,
    removed: removable.map(({ location }) => location),
    warnings: [...plan.warnings, ...reasons],
  };
}
