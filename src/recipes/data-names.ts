/** What the data files of an output are called. Pure. */

import { posix } from 'node:path';
import { expandDataName, type Layout, seriesName } from '../external-data/layout.ts';
import { withoutTwoDots } from '../external-data/location.ts';
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

/** The name that all of `locations` are numbers of, when they are one series: `x_1` and `x` of `x`. */
function commonSeries(locations: readonly string[]): string | undefined {
  const [first, ...rest] = [...locations].sort((a, b) => a.length - b.length);
  if (first === undefined) return undefined;
  const numbered = (name: string) => /_(\d+)$/.exec(name)?.[1];
  return rest.every((name) => name === seriesName(first, Number(numbered(name) ?? Number.NaN)))
    ? first
    : undefined;
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
    const series =
      layout.dataName === undefined
        ? inInput === undefined
          ? apart
          : follow(inInput)
        : expandDataName(layout.dataName, modelName);
    return () => series;
  }
  const names = new Map<SourceFile | undefined, string>();
  for (const [file, location] of opened.locations) names.set(file, follow(location));
  const [first] = names.values();
  return first === undefined ? undefined : (file) => names.get(file) ?? first;
}
