/** Facts about the machine that figures mean nothing without. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

/**
 * A line of what a command prints, or `unknown`.
 * @param {number} index
 * @param {string} program
 * @param {readonly string[]} args
 */
function lineOf(index, program, args) {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return stdout?.split('\n')[index]?.trim() || 'unknown';
}

/** Bytes of some lines of /proc/meminfo; empty elsewhere. */
function memoryState() {
  if (!existsSync('/proc/meminfo')) return {};
  const text = readFileSync('/proc/meminfo', 'utf8');
  const lines = ['MemFree', 'MemAvailable', 'Cached', 'Dirty'].map((name) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
    return [name, Number(kib ?? 0) * 1024];
  });
  return /** @type {Record<string, number>} */ (Object.fromEntries(lines));
}

/** What changes while benchmarks run: load over 1, 5 and 15 minutes, and memory. */
export function currentState() {
  return { load: loadavg().map((load) => Number(load.toFixed(2))), memory: memoryState() };
}

/** @param {string} directory On the file system that is measured. */
export function machineFacts(directory) {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    fileSystem: lineOf(1, 'df', ['--output=fstype', directory]),
    node: process.version,
    cp: lineOf(0, 'cp', ['--version']),
    ...currentState(),
    date: new Date().toISOString().slice(0, 10),
  };
}
