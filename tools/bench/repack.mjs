/** Moving bytes without changing them: against copying them, by sharing their blocks, and where nothing is to move. */

import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { latheCommand } from './command-line-tool.mjs';
import { runCommand } from './command-run.mjs';
import { alternate, copyWith } from './rounds.mjs';
import { summarize, summarizeRatios } from './statistics.mjs';

/** @typedef {import('./measurement.mjs').Measurement} Measurement */

const COPY_BAR = 1.1;
const SHARED_BAR_SECONDS = 0.1;
const PEAK_BAR_MB = 150;
const NOTHING_BAR_MS = 300;

const DEFAULT_BYTES = 4e9;
const QUICK_BYTES = 1e9;
/** A model that is laid out as asked for already: its size, and the runs that find that out. */
const TIDY = { arguments: '--nodes 3000 --hidden 2112 --sparse', runs: 21 };

/**
 * Whether files of the workspace can share blocks: XFS, btrfs.
 * @param {import('./workspace.mjs').Workspace} workspace
 */
function sharesBlocks({ root }) {
  const [from, to] = [join(root, 'probe'), join(root, 'probe-clone')];
  writeFileSync(from, Buffer.alloc(4096, 1));
  const { status } = spawnSync('cp', ['--reflink=always', from, to]);
  for (const path of [from, to]) rmSync(path, { force: true });
  return status === 0;
}

/**
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {import('./options.mjs').BenchOptions} options
 * @returns {Measurement[]}
 */
export function measureRepack(workspace, { quick, copyBytes, rounds }) {
  const bytes = copyBytes ?? (quick ? QUICK_BYTES : DEFAULT_BYTES);
  const runs = workspace.withModel(`--size ${bytes}`, bytes, (model) =>
    alternate(workspace, model, rounds, {
      repack: ({ modelPath }, output) =>
        runCommand(latheCommand('repack', modelPath, '-o', output, '--quiet')),
      'cp and fsync': copyWith({ flushed: true }),
    }),
  );
  return [
    ...tabulate(`${bytes / 1e9} GB`, runs, sharesBlocks(workspace)),
    measureNothing(workspace),
  ];
}

/**
 * @param {string} size
 * @param {Record<'repack' | 'cp and fsync', import('./command-run.mjs').CommandRun[]>} runs
 * @param {boolean} shared
 * @returns {Measurement[]}
 */
function tabulate(size, { repack, 'cp and fsync': cp }, shared) {
  /** @param {typeof repack} of */
  const wall = (of) => of.map(({ wallSeconds }) => wallSeconds);
  /** @param {string} what @param {Measurement['unit']} unit @param {Measurement['summary']} summary @param {number} [bar] */
  const row = (what, unit, summary, bar) => ({
    ...{ benchmark: /** @type {const} */ ('repack'), what, unit, summary },
    ...(bar === undefined ? {} : { bar }),
  });
  const how = shared ? `${size}, blocks shared` : `${size}, copied`;
  const rows = [
    row(
      `wall of repack, ${how}`,
      's',
      summarize(wall(repack)),
      shared ? SHARED_BAR_SECONDS : undefined,
    ),
    row('wall of cp and fsync', 's', summarize(wall(cp))),
    row(
      `wall of repack / cp and fsync, ${how}, warm`,
      'x',
      summarizeRatios(wall(repack), wall(cp)),
      shared ? undefined : COPY_BAR,
    ),
  ];
  const peaks = repack.flatMap(({ peakBytes }) => (peakBytes === undefined ? [] : peakBytes / 1e6));
  const cpu = (/** @type {typeof repack} */ of) => of.flatMap(({ cpuSeconds }) => cpuSeconds ?? []);
  if (peaks.length === 0) return rows;
  return [
    ...rows,
    row('CPU of repack', 's', summarize(cpu(repack))),
    row('CPU of cp and fsync', 's', summarize(cpu(cp))),
    { ...row(`peak of repack, ${size}`, 'MB', summarize(peaks), PEAK_BAR_MB), judged: 'high' },
  ];
}

/**
 * @param {import('./workspace.mjs').Workspace} workspace
 * @returns {Measurement}
 */
function measureNothing(workspace) {
  return workspace.withModel(TIDY.arguments, 0, ({ modelPath, dataBytes, nodes }) => {
    const command = latheCommand('repack', modelPath, '--in-place', '--quiet');
    const samples = Array.from(
      { length: TIDY.runs },
      () => runCommand(command, { bare: true, exit: 1 }).wallSeconds * 1000,
    );
    return {
      benchmark: 'repack',
      what: `wall of repack --in-place, nothing to do, ${(dataBytes / 1e9).toFixed(0)} GB, ${nodes} nodes`,
      unit: 'ms',
      summary: summarize(samples),
      bar: NOTHING_BAR_MS,
    };
  });
}
