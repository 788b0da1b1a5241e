/** Writes a model and is killed before the n-th step of its commit; run by commit.e2e.test.ts. */

import { commitModel } from './commit-model.ts';

const [output = '', way = '', model = '', lastStep = ''] = process.argv.slice(2);
let step = 0;

await commitModel(output, way, model, (name) => {
  if (step++ !== Number(lastStep)) return;
  process.stdout.write(name);
  process.kill(process.pid, 'SIGKILL');
});
