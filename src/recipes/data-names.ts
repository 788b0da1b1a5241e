/** What the data files of an output are called: as in the input, following the model's own name. */

import { posix } from 'node:path';
import type { OpenedModel } from '../external-data/open-model.ts';
import type { SourceFile } from '../model/tensor-data.ts';

/** `model.onnx.data` of `model.onnx` becomes `small.onnx.data` of `small.onnx`; other names stay. */
function renamed(location: string, inputName: string, modelName: string): string {
  const plain = posix.normalize(location);
  if (inputName === modelName) return plain;
  const stem = (name: string) => name.replace(/\.onnx$/, '');
  if (plain.startsWith(inputName)) return modelName + plain.slice(inputName.length);
  if (plain.startsWith(`${stem(inputName)}.`) || plain.startsWith(`${stem(inputName)}_`)) {
    return stem(modelName) + plain.slice(stem(inputName).length);
  }
  return plain;
}

/**
 * Names of output data files by the source file a tensor comes from, or undefined when the input keeps everything
 * in its `.onnx`: the output does too.
 */
export function dataNames(
  opened: OpenedModel,
  inputName: string,
  modelName: string,
  freeName: (name: string) => string,
): ((file: SourceFile) => string) | undefined {
  const names = new Map<SourceFile, string>();
  for (const [file, location] of opened.locations) {
    const name = renamed(location, inputName, modelName);
    names.set(file, freeName(name === modelName ? `${modelName}.data` : name));
  }
  const [first] = names.values();
  return first === undefined ? undefined : (file) => names.get(file) ?? first;
}
