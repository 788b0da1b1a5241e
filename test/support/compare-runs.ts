/** What ONNX Runtime makes of two models that should compute the same. */

import { expect } from 'vitest';
import { declaredFeeds, type Outputs, relativeError, runModel } from './model-builder.ts';

/** New names of inputs and outputs by their old ones. */
export type Renamed = Readonly<Record<string, string>>;

/** Outputs of the models at `before` and `after`, fed alike with what `before` declares. */
export async function runBoth(
  before: string,
  after: string,
  renamed: Renamed = {},
): Promise<{ readonly before: Outputs; readonly after: Outputs }> {
  const feeds = await declaredFeeds(before);
  const renamedFeeds = Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [renamed[name] ?? name, tensor]),
  );
  return { before: await runModel(before, feeds), after: await runModel(after, renamedFeeds) };
}

/**
 * Expects the same outputs in the same order, each off by at most `tolerance` of its largest magnitude; those of
 * `dropped` have to be gone.
 */
export async function expectClose(
  { input, output }: { readonly input: string; readonly output: string },
  tolerance: number,
  renamed: Renamed = {},
  dropped: readonly string[] = [],
): Promise<void> {
  const { before, after } = await runBoth(input, output, renamed);
  const kept = [...before].filter(([name]) => !dropped.includes(name));
  expect([...after.keys()]).toEqual(kept.map(([name]) => renamed[name] ?? name));
  for (const [name, tensor] of kept) {
    const actual = after.get(renamed[name] ?? name);
    if (actual === undefined) throw new Error(`no output ${name}`);
    expect(actual.dims).toEqual(tensor.dims);
    expect(actual.type).toBe(tensor.type);
    expect(relativeError(actual, tensor), name).toBeLessThanOrEqual(tolerance);
  }
}
