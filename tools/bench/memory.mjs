/** Peak memory of a whole run must not know how large the model is. */

import { shrinkCommand } from './command-line-tool.mjs';
import { BenchError, hasGnuTime, runCommand } from './command-run.mjs';
import { summarize } from './statistics.mjs';

/** @typedef {import('./measurement.mjs').Measurement} Measurement */

const RUNS = 3;
const BAR_MB = 150;
const SPREAD_BAR_MB = 10;

const MODELS = {
  full: [
    ...['1GB', '4GB', '16GB'].flatMap((size) => [
      `--size ${size} --tied`,
      `--size ${size} --untied`,
    ]),
    '--size 3GB --untied --vocab 262144 --hidden 2560',
    '--size 4GB --tied --layout genai --vocab 262144 --hidden 2560',
  ],
  quick: [
    ...['0.25GB', '0.5GB', '1GB'].flatMap((size) => [
      `--size ${size} --tied`,
      `--size ${size} --untied`,
    ]),
    '--size 0.8GB --untied --vocab 131072 --hidden 1280',
  ],
};

/**
 * Three runs a model; the bar holds the worst of them. The last row is the distance between the smallest and the
 * largest median.
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {import('./options.mjs').BenchOptions} options
 * @returns {Measurement[]}
 */
export function measureMemory(workspace, { quick }) {
  if (!hasGnuTime()) throw new BenchError('memory needs GNU time as /usr/bin/time');
  /** @type {Measurement[]} */
  const rows = MODELS[quick ? 'quick' : 'full'].map((description) => {
    // Four bits and their scales are less than a third of fp16.
    const bytes = Number(/--size ([\d.]+)GB/.exec(description)?.[1]) * 1e9;
    const samples = workspace.withModel(description, bytes / 3, (model) =>
      Array.from({ length: RUNS }, () => {
        const output = workspace.settle(model);
        const { peakBytes = 0 } = runCommand(shrinkCommand(model.modelPath, output));
        workspace.discard(output);
        return peakBytes / 1e6;
      }),
    );
    return {
      benchmark: 'memory',
      what: `peak of shrink, ${description.replaceAll('--', '').replace('size ', '')}`,
      unit: 'MB',
      summary: summarize(samples),
      bar: BAR_MB,
      judged: 'high',
    };
  });
  const medians = rows.map(({ summary }) => summary.median);
  rows.push({
    benchmark: 'memory',
    what: 'between the smallest and the largest median',
    unit: 'MB',
    summary: summarize([Math.max(...medians) - Math.min(...medians)]),
    bar: SPREAD_BAR_MB,
  });
  return rows;
}
