/** What ONNX Runtime makes of two models that should compute the same. */

import { expect } from 'vitest';
import { declaredFeeds, type Outputs, relativeError, runModel } from './model-builder.ts';

/** Outputs of the models at `before` and `after`, fed alike with what `before` declares. */
export async function runBoth(
  before: string,
  after: string,
): Promise<{ readonly before: Outputs; readonly after: Outputs }> {
  const feeds = await declaredFeeds(before);
  return { before: await runModel(before, feeds), after: await runModel(after, feeds) };
}

/** Expects the same outputs in the same order, each off by at most `tolerance` of its largest magnitude. */
export async function expectClose(
  { input, output }: { readonly input: string; readonly output: string },
  tolerance: number,
): Promise<void> {
  const { before, after } = await runBoth(input, output);
  expect([...after.keys()]).toEqual([...before.keys()]);
  for (const [name, tensor] of before) {
    const actual = after.get(name);
    if (actual === undefined) throw new Error(`no output ${name}`);
    expect(actual.dims).toEqual(tensor.dims);
    expect(actual.type).toBe(tensor.type);
    expect(relativeError(actual, tensor), name).toBeLessThanOrEqual(tolerance);
  }
}
