/** Runs one command and measures it from outside. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Seconds, and bytes of the largest process. The last three are undefined without GNU time.
 * @typedef {object} CommandRun
 * @property {number} wallSeconds
 * @property {number | undefined} cpuSeconds User and system time of the command and its children.
 * @property {number | undefined} peakBytes
 */

const GNU_TIME = '/usr/bin/time';

/** A command of a benchmark failed, or the disk is too small (exit 5). */
export class BenchError extends Error {}

/** Whether CPU time and memory can be measured. */
export function hasGnuTime() {
  return existsSync(GNU_TIME) && spawnSync(GNU_TIME, ['--version']).status === 0;
}

/**
 * Runs a command to its end, its output thrown away; throws a BenchError with what it wrote to stderr when it
 * fails. GNU time stands between where it exists: it waits with wait4, whose numbers are the command's alone, and
 * costs about a millisecond; `bare` leaves it out.
 * @param {readonly [string, ...string[]]} command
 * @param {{ env?: Record<string, string>, bare?: boolean, exit?: number }} [options] `exit`: the code of success.
 * @returns {CommandRun}
 */
export function runCommand(command, { env = {}, bare = false, exit = 0 } = {}) {
  const figures = join(tmpdir(), `onnx-lathe-bench-time-${process.pid}`);
  const timed = !bare && hasGnuTime();
  const [program, ...args] = timed
    ? [GNU_TIME, '-f', '%M %U %S', '-o', figures, ...command]
    : command;
  const start = performance.now();
  const { status, signal, stderr, error } = spawnSync(/** @type {string} */ (program), args, {
    // Node 20 parses this file of certificates before it does anything else, which can take longer than all of that.
    env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  const wallSeconds = (performance.now() - start) / 1000;
  if (error !== undefined || status !== exit) {
    const reason = error?.message ?? `${signal ?? `exit ${status}`}\n${stderr.slice(-2000)}`;
    throw new BenchError(`${command.join(' ')}: ${reason}`);
  }
  if (!timed) return { wallSeconds, cpuSeconds: undefined, peakBytes: undefined };
  const [peakKib = 0, user = 0, system = 0] =
    readFileSync(figures, 'utf8').trimEnd().split('\n').at(-1)?.split(' ').map(Number) ?? [];
  rmSync(figures);
  return { wallSeconds, cpuSeconds: user + system, peakBytes: peakKib * 1024 };
}
