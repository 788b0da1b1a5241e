/** Writes a model and is killed before the n-th step of its commit; run by commit.e2e.test.ts. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type StageOptions, stageOutput } from '../../src/external-data/commit.ts';
import { freshName } from '../../src/external-data/layout.ts';
import { exchangeByRenames, writePackage } from './package-state.ts';

const [output = '', way = '', model = '', lastStep = ''] = process.argv.slice(2);
let step = 0;

const options: StageOptions = {
  force: true,
  ...(way === 'exchange' && { renameExchange: exchangeByRenames }),
  beforeStep(name) {
    if (step++ !== Number(lastStep)) return;
    process.stdout.write(name);
    process.kill(process.pid, 'SIGKILL');
  },
};

const staged = await stageOutput(output, options);
const isTaken = (name: string) => staged.isNameTaken(name);
const data = [freshName(`${model}.data`, isTaken), freshName('more/w.data', isTaken)];
writePackage(staged.directory, model, 'new', data[0] ?? '');
mkdirSync(join(staged.directory, 'more'));
for (const name of [data[1] ?? '', 'tokenizer.json', 'added.json']) {
  writeFileSync(join(staged.directory, name), 'new');
}
await staged.commit({ model, data });
