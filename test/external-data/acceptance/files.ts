/** Files of a case: a model that refers to one location, and what is there. */

import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ExternalEntry } from '../../../src/external-data/reference.ts';
import type { onnx } from '../../../src/proto/onnx.ts';
import type { Workspace } from '../workspace.ts';
import { addModel, COUNT, external, numbers, reference, write } from './models.ts';

/** A model with a weight at `location`. */
export function modelAt(location: string): Uint8Array {
  return addModel(external(reference(location)));
}

/** A model that refers to `location`, the data there. */
export function at(location: string, dataName = location): (files: Workspace) => string {
  return (files) => write(files, modelAt(location), { [dataName]: numbers() });
}

/** A model that refers to `location`, and files that `prepare` makes. */
export function withFiles(
  location: string,
  prepare: (files: Workspace) => void,
): (files: Workspace) => string {
  return (files) => {
    const path = write(files, modelAt(location), {});
    prepare(files);
    return path;
  };
}

/** Makes a symbolic link, with the directories it is in. */
export function link(files: Workspace, name: string, target: string): void {
  mkdirSync(dirname(files.path(name)), { recursive: true });
  symlinkSync(target, files.path(name));
}

/** A model with these entries; `w.data` has the numbers from 1 to 2 × {@link COUNT}. */
export function has(
  externalData: readonly ExternalEntry[],
  fields: onnx.ITensorProto = {},
): (files: Workspace) => string {
  return (files) =>
    write(files, addModel(external(externalData, fields)), { 'w.data': numbers(1, 2 * COUNT) });
}
