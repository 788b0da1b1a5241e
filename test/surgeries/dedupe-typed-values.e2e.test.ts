/** Equal values of which some are in typed fields of their messages, where no range of a file says where they are. */

import { expect, it } from 'vitest';
import { expectClose } from '../support/compare-runs.ts';
import type { WriteModelOptions } from '../support/model-builder.ts';
import { initializerBytes, runText, type TextRun } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

function dedupe(text: string, edit: NonNullable<WriteModelOptions['edit']>): Promise<TextRun> {
  return runText(scratch(), text, ['dedupe-initializers'], { edit });
}

function changed({ report }: TextRun): string[] {
  return report.steps.flatMap(({ changes }) => changes.map(({ node, what }) => `${node} ${what}`));
}

const COUNT = 2000;
const numbers = Array.from({ length: COUNT }, (_, index) => index * 3 - 5);
const text = `
input x: int64[${COUNT}]
output y: int64[${COUNT}]
weight A: int64[${COUNT}] = list(${numbers.join(', ')})
weight B: int64[${COUNT}] = copy(A)
weight C: int64[${COUNT}] = copy(A)
a = Add(x, A)
b = Sub(a, B)
y = Add(b, C)
`;

/** Moves the values of an initializer into the .onnx, to `int64_data`; the data file keeps its bytes. */
const typed =
  (index: number, values = numbers): NonNullable<WriteModelOptions['edit']> =>
  (_, { initializer }) => {
    const fields = { dataLocation: 0, externalData: [], int64Data: values };
    Object.assign(initializer?.[index] ?? {}, fields);
  };

it.each([0, 1, 2])(
  'typed values are compared with those in files, of initializer %i',
  async (index) => {
    const run = await dedupe(text, typed(index));
    expect(changed(run)).toEqual(['B is "A" now (15.6 KiB)', 'C is "A" now (15.6 KiB)']);
    expect(run.report.gateBytesRead).toBeGreaterThanOrEqual(2 * 8 * COUNT);
    await expectClose(run, 0);
  },
);

it.each([0, 700, COUNT - 1])('typed values are not equal when number %i differs', async (at) => {
  const run = await dedupe(text, typed(1, numbers.with(at, 4)));
  expect(changed(run)).toEqual(['C is "A" now (15.6 KiB)']);
  await expectClose(run, 0);
});

it('typed values share no bytes with data files', async () => {
  const outputs = text.replace('output y', `output B: int64[${COUNT}]\noutput y`);
  const run = await dedupe(outputs, typed(0));
  expect(changed(run)).toEqual(['C is "A" now (15.6 KiB)']);
  expect(run.declined).toEqual([expect.stringMatching(/stored on its own: it is an output/)]);
  expect(initializerBytes(run.output, 'B')).toEqual(initializerBytes(run.input, 'B'));
});

it('the others share the bytes of the first that is in a data file', async () => {
  const both = text.replace(
    'output y',
    `output B: int64[${COUNT}]\noutput C: int64[${COUNT}]\noutput y`,
  );
  const run = await dedupe(both, typed(0));
  expect(changed(run)).toEqual(['C shares the bytes of "B" (15.6 KiB)']);
  await expectClose(run, 0);
});
