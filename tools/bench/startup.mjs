/** What a user waits for before anything happens. */

import { latheCommand } from './command-line-tool.mjs';
import { runCommand } from './command-run.mjs';
import { summarize, summarizeRatios } from './statistics.mjs';

/** @typedef {import('./measurement.mjs').Measurement} Measurement */

const RUNS = 21;
const HELP_BAR_MS = 120;
const INSPECT_BAR_MS = 250;
const LARGE_INSPECT_BAR_MS = 1000;
/** Certificates that Node 20 reads at every start, where this names some; otherwise commands run without them. */
const CERTIFICATES = process.env['NODE_EXTRA_CA_CERTS'];

/**
 * @param {import('./workspace.mjs').Workspace} workspace
 * @returns {Measurement[]}
 */
export function measureStartup(workspace) {
  return workspace.withModel('--nodes 3000 --sparse', 0, (small) =>
    workspace.withModel('--nodes 100000 --sparse', 0, (large) => {
      /** @type {{ what: string, command: [string, ...string[]], env?: Record<string, string>, bar?: number }[]} */
      const cases = [
        { what: 'bare node', command: [process.execPath, '-e', '0'] },
        { what: '--help', command: latheCommand('--help'), bar: HELP_BAR_MS },
        {
          what: `inspect, ${small.nodes} nodes`,
          command: latheCommand('inspect', small.modelPath),
          bar: INSPECT_BAR_MS,
        },
        {
          what: `inspect, ${large.nodes} nodes`,
          command: latheCommand('inspect', large.modelPath),
          bar: LARGE_INSPECT_BAR_MS,
        },
      ];
      if (CERTIFICATES !== undefined) {
        const env = { NODE_EXTRA_CA_CERTS: CERTIFICATES };
        const withThem = cases
          .slice(0, 3)
          .map(({ what, command }) => ({ what: `${what}, NODE_EXTRA_CA_CERTS`, command, env }));
        cases.push(...withThem);
      }
      /** @type {number[][]} */
      const samples = cases.map(() => []);
      for (let round = 0; round < RUNS; round++) {
        for (const [index, { command, env = {} }] of cases.entries()) {
          samples[index]?.push(runCommand(command, { env, bare: true }).wallSeconds * 1000);
        }
      }
      const rows = cases.map(({ what, bar }, index) => row(what, samples[index] ?? [], bar));
      const [bare = [], help = []] = samples;
      rows.push({
        benchmark: 'startup',
        what: '--help / bare node',
        unit: 'x',
        summary: summarizeRatios(help, bare),
      });
      return rows;
    }),
  );
}

/**
 * @param {string} what
 * @param {readonly number[]} samples
 * @param {number | undefined} bar
 * @returns {Measurement}
 */
function row(what, samples, bar) {
  /** @type {Measurement} */
  const measured = { benchmark: 'startup', what, unit: 'ms', summary: summarize(samples) };
  return bar === undefined ? measured : { ...measured, bar };
}
