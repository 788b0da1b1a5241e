/** What the data files of an output are called. Pure. */

import { posix } from 'node:path';
import { expandDataName, type Layout, seriesName } from '../external-data/layout.ts';
import { withoutTwoDots } from '../external-data/location.ts';
import type { OpenedModel } from '../external-data/open-model.ts';
import { isSafetensorsName } from '../external-data/safetensors.ts';
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

/** What a safetensors file is a number of: `x.safetensors` and 2 for `x-00001-of-00002.safetensors`. */
function shardOf(name: string): { readonly first: string; readonly count: number } {
  const [, stem, count, extension] = /^(.*)-\d{5}-of-(\d{5})(\.[^.]*)$/s.exec(name) ?? [];
  return count === undefined
    ? { first: name, count: 1 }
    : { first: `${stem}${extension}`, count: Number(count) };
}

/** The name that all of `locations` are numbers of, when they are one series: `x_1` and `x` of `x`. */
function commonSeries(locations: readonly string[]): string | undefined {
  const [shortest, ...rest] = [...locations].sort((a, b) => a.length - b.length);
  if (shortest === undefined) return undefined;
  if (isSafetensorsName(shortest)) {
    const { first, count } = shardOf(shortest);
    const isShard = (name: string) =>
      shardOf(name).first === first && shardOf(name).count === count;
    return rest.every(isShard) ? first : undefined;
  }
  const numberOf = (name: string) => Number(/_(\d+)$/.exec(name)?.[1] ?? Number.NaN);
  const count = locations.length;
  return rest.every((name) => name === seriesName(shortest, numberOf(name), count))
    ? shortest
    : undefined;
}

/** The series of data files that a layout asks for; `inInput` is that of the input, in its new name. */
function seriesFor(layout: Layout, inInput: string | undefined, modelName: string): string {
  const { dataName, dataFormat } = layout;
  if (dataName !== undefined) return expandDataName(dataName, modelName);
  const isSafetensors = inInput !== undefined && isSafetensorsName(inInput);
  const wanted = dataFormat ?? (isSafetensors ? 'safetensors' : 'raw');
  if (inInput !== undefined && isSafetensors === (wanted === 'safetensors')) return inInput;
  const plain = withoutTwoDots(modelName);
  return wanted === 'raw' ? `${plain}.data` : expandDataName('{model}.safetensors', plain);
}

/**
 * Names of data files by the source file a tensor comes from, or undefined where the `.onnx` is to hold everything.
 * Without a layout the output has the input's data files, or none if the input has none. With one it has a single
 * series, called what the layout says, else as in the input. What is not called by the layout has no two dots in a row.
 */
export function dataNames(
  opened: OpenedModel,
  inputName: string,
  modelName: string,
  layout: Layout | undefined,
): ((file: SourceFile | undefined) => string) | undefined {
  if (layout?.embed === true) return undefined;
  const apart = withoutTwoDots(`${modelName}.data`);
  const follow = (location: string) => {
    const name = withoutTwoDots(renamed(location, inputName, modelName));
    return name === modelName ? apart : name;
  };
  if (layout !== undefined) {
    const inInput = commonSeries([...opened.locations.values()].map(posix.normalize));
    const series = seriesFor(layout, inInput && follow(inInput), modelName);
    return () => series;
  }
  const names = new Map<SourceFile | undefined, string>();
  for (const [file, location] of opened.locations) {
    names.set(file, isSafetensorsName(location) ? apart : follow(location));
  }
  const [first] = names.values();
  return first === undefined ? undefined : (file) => names.get(file) ?? first;
}
