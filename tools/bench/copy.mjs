/** A whole run against the cheapest thing one can do with the same bytes: copying them. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { shrinkCommand } from './command-line-tool.mjs';
import { runCommand } from './command-run.mjs';
import { summarize, summarizeRatios } from './statistics.mjs';

/** @typedef {import('./command-run.mjs').CommandRun} CommandRun */
/** @typedef {import('./measurement.mjs').Measurement} Measurement */
/** @typedef {import('../make-model/make-model.mjs').MadeModel} MadeModel */

const BAR = 1.2;
const DEFAULT_BYTES = 4e9;
const QUICK_BYTES = 1e9;

/** Sharing blocks would not be copying. */
const CP = 'cp --reflink=never';

/** What is timed in each round: the product, a copy that is as durable as its result, and a copy that is not. */
const CONTENDERS = /** @type {const} */ (['shrink', 'cp and fsync', 'cp']);

/**
 * @param {typeof CONTENDERS[number]} name
 * @param {MadeModel} model
 * @param {string} output
 */
function timed(name, model, output) {
  if (name === 'shrink') return runCommand(shrinkCommand(model.modelPath, output));
  mkdirSync(output);
  const script = name === 'cp' ? `${CP} "$1" "$2"` : `${CP} "$1" "$2" && sync "$2"`;
  return runCommand(['sh', '-c', script, 'sh', model.dataPath, join(output, 'copy')]);
}

/**
 * Alternates the contenders, each round starting with another one, and compares round by round.
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {import('./options.mjs').BenchOptions} options
 * @returns {Measurement[]}
 */
export function measureCopy(workspace, { quick, copyBytes, rounds }) {
  const bytes = copyBytes ?? (quick ? QUICK_BYTES : DEFAULT_BYTES);
  /** @type {Record<typeof CONTENDERS[number], CommandRun[]>} */
  const runs = { shrink: [], 'cp and fsync': [], cp: [] };
  workspace.withModel(`--size ${bytes}`, bytes, (model) => {
    for (let turn = 0; turn < rounds * CONTENDERS.length; turn++) {
      const round = Math.floor(turn / CONTENDERS.length);
      const name = CONTENDERS[(turn + round) % CONTENDERS.length] ?? 'cp';
      const output = workspace.settle(model);
      runs[name].push(timed(name, model, output));
      workspace.discard(output);
    }
  });
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
