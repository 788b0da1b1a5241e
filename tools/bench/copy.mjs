/** A whole run against the cheapest thing one can do with the same bytes: copying them. */

import { shrinkCommand } from './command-line-tool.mjs';
import { runCommand } from './command-run.mjs';
import { alternate, copyWith } from './rounds.mjs';
import { summarize, summarizeRatios } from './statistics.mjs';

/** @typedef {import('./command-run.mjs').CommandRun} CommandRun */
/** @typedef {import('./measurement.mjs').Measurement} Measurement */

const BAR = 1.2;
const DEFAULT_BYTES = 4e9;
const QUICK_BYTES = 1e9;

/** What is timed in each round: the product, a copy that is as durable as its result, and a copy that is not. */
const CONTENDERS = /** @type {const} */ (['shrink', 'cp and fsync', 'cp']);

/**
 * Compares round by round.
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {import('./options.mjs').BenchOptions} options
 * @returns {Measurement[]}
 */
export function measureCopy(workspace, { quick, copyBytes, rounds }) {
  const bytes = copyBytes ?? (quick ? QUICK_BYTES : DEFAULT_BYTES);
  const runs = workspace.withModel(`--size ${bytes}`, bytes, (model) =>
    alternate(workspace, model, rounds, {
      shrink: ({ modelPath }, output) => runCommand(shrinkCommand(modelPath, output)),
      'cp and fsync': copyWith({ flushed: true }),
      cp: copyWith({ flushed: false }),
    }),
  );
  return tabulate(`${bytes / 1e9} GB`, runs);
}

/**
 * @param {string} size
 * @param {Record<typeof CONTENDERS[number], CommandRun[]>} runs
 * @returns {Measurement[]}
 */
function tabulate(size, runs) {
  /** @param {typeof CONTENDERS[number]} name */
  const wall = (name) => runs[name].map(({ wallSeconds }) => wallSeconds);
  /** @param {typeof CONTENDERS[number]} name */
  const cpu = (name) => runs[name].map(({ cpuSeconds }) => cpuSeconds ?? Number.NaN);
  /** @type {Measurement[]} */
  const rows = [
    {
      benchmark: 'copy',
      what: `wall of shrink / cp and fsync, ${size}, warm`,
      unit: 'x',
      summary: summarizeRatios(wall('shrink'), wall('cp and fsync')),
      bar: BAR,
    },
    {
      benchmark: 'copy',
      what: 'wall of shrink / cp without fsync',
      unit: 'x',
      summary: summarizeRatios(wall('shrink'), wall('cp')),
    },
  ];
  for (const name of CONTENDERS) {
    rows.push({
      benchmark: 'copy',
      what: `wall of ${name}`,
      unit: 's',
      summary: summarize(wall(name)),
    });
  }
  if (Number.isNaN(cpu('cp')[0])) return rows;
  rows.push({
    benchmark: 'copy',
    what: 'CPU of shrink / cp and fsync',
    unit: 'x',
    summary: summarizeRatios(cpu('shrink'), cpu('cp and fsync')),
  });
  for (const name of CONTENDERS) {
    rows.push({
      benchmark: 'copy',
      what: `CPU of ${name}`,
      unit: 's',
      summary: summarize(cpu(name)),
    });
  }
  return rows;
}
