/**
 * The quantizers alone: one core, in memory, tiles as the executor makes them, blocks of 32 of random normal weights.
 * Slices of a few milliseconds, judged by the fastest: what else the machine does can only slow them down.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../setup.mjs';
import { BenchError } from './command-run.mjs';
import { summarize } from './statistics.mjs';

/** @typedef {import('./measurement.mjs').Measurement} Measurement */

const SLICES = 60;
const SLICE_MS = 5;

/** Lowest rates, in GB/s of input, by the words of a case. */
const BARS = [
  { isa: 'avx512', methods: ['search', 'k-quant'], least: 1.1 },
  { isa: 'avx2', methods: ['search', 'k-quant'], least: 0.44 },
  { isa: 'plain', methods: ['rtn'], least: 2 },
  { isa: 'wasm', methods: ['rtn'], least: 0.3 },
];

/**
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {import('./options.mjs').BenchOptions} options
 * @returns {Measurement[]}
 */
export function measureKernels(workspace, { quick }) {
  const program = compile(workspace.root);
  const types = quick ? ['fp16'] : ['fp16', 'bf16', 'fp32'];
  return [...types.flatMap((type) => native(program, type)), ...withoutAddon(workspace.root)];
}

/**
 * Compiles the benchmark with the flags of native/build.mjs and gives its path.
 * @param {string} directory
 */
function compile(directory) {
  const kernels = join(root, 'native', 'kernels');
  const program = join(directory, 'kernel-speed');
  const sources = readdirSync(kernels).filter((name) => name.endsWith('.cc'));
  const flags = ['-std=c++17', '-O3', '-fPIC', '-ffp-contract=off', '-fno-math-errno'];
  const { status, stderr, error } = spawnSync(
    process.env['CXX'] || 'g++',
    [
      ...[...flags, `-I${kernels}`, '-o', program],
      ...sources.map((name) => join(kernels, name)),
      join(dirname(fileURLToPath(import.meta.url)), 'kernel-speed.cc'),
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new BenchError(`the kernels do not compile: ${error ?? stderr}`);
  return program;
}

/** @param {string} program @param {string} type @returns {Measurement[]} */
function native(program, type) {
  const args = [String(SLICES), String(SLICE_MS), type, '32', 'asymmetric'];
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new BenchError(`${program} failed`);
  return rowsOf(stdout);
}

/**
 * The kernels of a machine without the addon.
 * @param {string} directory
 * @returns {Measurement[]}
 */
function withoutAddon(directory) {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'kernel-speed.mjs');
  const wasm = ['rtn', 'search', 'k-quant'].flatMap((method) =>
    [2, 4, 8].flatMap((bits) =>
      ['rows', 'columns'].map((layout) => `wasm ${method} ${bits} ${layout}`),
    ),
  );
  const cases = [
    ...wasm,
    'TypeScript rtn 4 rows',
    'TypeScript rtn 4 columns',
    'TypeScript search 4 rows',
    'TypeScript k-quant 4 rows',
  ];
  return cases.flatMap((words) => {
    const args = [script, String(SLICES), String(SLICE_MS), ...words.split(' ')];
    const run = spawnSync(process.execPath, args, { cwd: directory, encoding: 'utf8' });
    if (run.status !== 0) throw new BenchError(`${script}: ${run.stderr}`);
    return rowsOf(run.stdout);
  });
}

/** @param {string} output Lines of words, then bytes per second of each slice. @returns {Measurement[]} */
function rowsOf(output) {
  return output
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [words = '', rates = ''] = line.split(': ');
      const [isa = '', method = ''] = words.split(' ');
      const least = BARS.find((bar) => bar.isa === isa && bar.methods.includes(method))?.least;
      return {
        benchmark: 'kernels',
        what: words,
        unit: 'GB/s',
        summary: summarize(rates.split(' ').map((rate) => Number(rate) / 1e9)),
        judged: 'high',
        ...(least === undefined ? {} : { least }),
      };
    });
}
