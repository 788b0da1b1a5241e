/** A commit of a small model, as the tests of commits do it in their own process and in one that is killed. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type StageOptions, stageOutput } from '../../src/external-data/commit.ts';
import { freshName } from '../../src/external-data/layout.ts';
import { exchangeByRenames, writePackage } from './package-state.ts';

/** Writes version `new` of a model to `output`; `way` is how an older one gives way. */
export async function commitModel(
  output: string,
  way: string,
  model: string,
  beforeStep: NonNullable<StageOptions['beforeStep']> = () => undefined,
): Promise<void> {
  const staged = await stageOutput(output, {
    force: true,
    ...(way === 'exchange' && { renameExchange: exchangeByRenames }),
    beforeStep,
  });
  const isTaken = (name: string) => staged.isNameTaken(name);
  const data = [freshName(`${model}.data`, isTaken), freshName('more/w.data', isTaken)];
  writePackage(staged.directory, model, 'new', data[0] ?? '');
  mkdirSync(join(staged.directory, 'more'));
  for (const name of [data[1] ?? '', 'tokenizer.json', 'added.json']) {
    writeFileSync(join(staged.directory, name), 'new');
  }
  await staged.commit({ model, data });
}
