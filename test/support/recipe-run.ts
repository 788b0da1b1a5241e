/** Recipes run on models described by text, with what they wrote opened again. */

import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findEmbedding } from '../../src/anatomy/embedding.ts';
import { findHead } from '../../src/anatomy/head.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import type { Model } from '../../src/model/model.ts';
import type { Tensor } from '../../src/model/tensor.ts';
import type { RecipeStep } from '../../src/recipes/recipe.ts';
import { type RunRecipeOptions, runRecipe } from '../../src/recipes/run-recipe.ts';
import { type WriteModelOptions, writeModel } from './model-builder.ts';
import { printModel } from './model-print.ts';

type RunReport = Awaited<ReturnType<typeof runRecipe>>;

/** A surgery with its options; a bare name has none. */
export type Step = string | readonly [surgery: string, options: RecipeStep['options']];

/** A finished run. */
export interface TextRun {
  readonly report: RunReport;
  /** The `.onnx` that was read. */
  readonly input: string;
  /** The `.onnx` that was written; not there when nothing changed. */
  readonly output: string;
  /** Reasons of everything that was declined, in order. */
  readonly declined: readonly string[];
  /** The output as text. */
  readonly printed: string;
}

export function stepsOf(steps: readonly Step[]): RecipeStep[] {
  return steps.map((step) =>
    typeof step === 'string'
      ? { surgery: step, options: {} }
      : { surgery: step[0], options: step[1] },
  );
}

/** The text form of the model at `path`. */
export function printFile(path: string): string {
  using opened = openModel(path);
  return printModel(opened.model);
}

/** Runs surgeries on the model at `input`; the output goes to `directory`. */
export async function runSteps(
  input: string,
  directory: string,
  steps: readonly Step[],
  options: RunRecipeOptions = {},
): Promise<TextRun> {
  const recipe = { name: 'test', steps: stepsOf(steps) };
  const report = await runRecipe(input, recipe, {
    output: directory,
    memoryBytes: 8 * 2 ** 20,
    threads: 1,
    ...options,
  });
  const output = report.output.path ?? join(directory, 'model.onnx');
  return {
    report,
    input,
    output,
    declined: report.steps.flatMap((step) => step.declined.map(({ reason }) => reason)),
    printed: report.changed && options.dryRun !== true ? printFile(output) : printFile(input),
  };
}

/** Writes the model that `text` describes below `directory` and runs surgeries on it. */
export async function runText(
  directory: string,
  text: string,
  steps: readonly Step[],
  options: RunRecipeOptions & WriteModelOptions = {},
): Promise<TextRun> {
  const from = join(directory, 'in');
  mkdirSync(from, { recursive: true });
  return runSteps(writeModel(from, text, options), join(directory, 'out'), steps, options);
}

/** Bytes of a tensor, wherever they are. */
export function tensorBytes(tensor: Tensor): Uint8Array {
  const { data } = tensor;
  if (data.kind === 'inline') return data.bytes;
  if (data.kind !== 'range') throw new Error(`a tensor that is ${data.kind}`);
  return readFileSync(data.file.path).subarray(data.byteOffset, data.byteOffset + data.byteLength);
}

/** Bytes of an initializer of the main graph of the model at `path`. */
export function initializerBytes(path: string, name: string): Uint8Array {
  using opened = openModel(path);
  const tensor = opened.model.graph.initializers.get(name)?.tensor;
  if (tensor === undefined) throw new Error(`${path} has no initializer ${name}`);
  return tensorBytes(tensor);
}

/** True when head and embedding of the model at `path` read one run of bytes, scales and zero points included. */
export function isTied(path: string): boolean {
  using opened = openModel(path);
  return isTiedModel(opened.model);
}

function isTiedModel(model: Model): boolean {
  const linear = findHead(model)?.linear;
  const embedding = findEmbedding(model, linear);
  if (linear === undefined || embedding === undefined) return false;
  const parts = (part: typeof linear | typeof embedding) => {
    if (part.kind === 'float') {
      return ['weight' in part ? part.weight.tensor : part.table.tensor];
    }
    const { codes, scales, zeroPoints } = part.table;
    return [codes.tensor, scales.tensor, ...(zeroPoints === undefined ? [] : [zeroPoints.tensor])];
  };
  const keys = (part: typeof linear | typeof embedding) =>
    parts(part).map((tensor) => keyOf(tensor));
  return keys(linear).join() === keys(embedding).join();
}

const identities = new WeakMap<object, number>();
let nextIdentity = 0;

function keyOf({ data }: Tensor): string {
  if (data.kind === 'range') return `${data.file.fd}:${data.byteOffset}:${data.byteLength}`;
  const id = identities.get(data) ?? nextIdentity++;
  identities.set(data, id);
  return `#${id}`;
}

/** Sizes of the files of an output, by name. */
export function fileSizes(report: RunReport, directory: string): Record<string, number> {
  return Object.fromEntries(
    report.output.files.map(({ name }) => [name, statSync(join(directory, name)).size]),
  );
}
