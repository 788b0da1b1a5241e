/** The command line of bench: parsed and checked. Pure. */

import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { parseCount, parseSize, UsageError } from '../make-model/options.mjs';

export const BENCHMARKS = /** @type {const} */ ([
  'memory',
  'copy',
  'methods',
  'repack',
  'startup',
  'kernels',
  'isa',
]);

/** @typedef {typeof BENCHMARKS[number]} BenchmarkName */

/**
 * @typedef {object} BenchOptions
 * @property {boolean} quick Small models; the bars stay the same.
 * @property {readonly BenchmarkName[]} only
 * @property {number | undefined} copyBytes Size of the model of `copy` and `repack`; undefined: its default.
 * @property {number} rounds Rounds of every comparison.
 * @property {string | undefined} jsonPath
 * @property {string} workDirectory Existing directory on the file system to measure.
 * @property {boolean} keep Leave models behind.
 */

export const HELP = `Usage: npm run bench -- [options]

Measures the built command line as users run it, on models made for the purpose. Builds first when dist is older
than src. Needs Linux, the coreutils and, for memory and CPU time, GNU time (/usr/bin/time).

  memory   peak memory of shrink --recipe q4-small for three sizes and one very wide head
  copy     its wall and CPU time against cp of the same data file, in alternating rounds
  methods  rtn at 4 and 8 bits, search and k-quant on rows and on columns, against cp of the same data file
  repack   copying without change against cp, its memory, and the time to find that nothing is to do
  startup  --help, and inspect of graphs of 3,000 and 100,000 nodes
  kernels  the quantizers alone, on one core in memory, per instruction set and in TypeScript; compiles them
  isa      wall time per instruction set, and without the addon

  --quick      models of 0.25, 0.5 and 1 GB instead of 1, 4 and 16 GB
  --only NAME  one of the seven; may be repeated
  --size SIZE  size of the model of copy, methods and repack (default 4GB, quick 1GB)
  --rounds N   rounds of copy, methods and repack, at least 5 (default 7)
  --json FILE  write everything measured to FILE, with facts about the machine
  --work DIR   where models and outputs go (default: the system's temporary directory)
  --keep       leave the models there

Exits: 0 every bar met, 1 a bar missed, 2 wrong arguments, 5 no space or a command failed.
`;

/** @param {readonly string[]} args */
function parseFlags(args) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true },
        size: { type: 'string' },
        rounds: { type: 'string', default: '7' },
        json: { type: 'string' },
        work: { type: 'string', default: tmpdir() },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), '--help');
  }
}

/**
 * What the command line asks for, or undefined when it asks for help. Throws a UsageError.
 * @param {readonly string[]} args
 * @returns {BenchOptions | undefined}
 */
export function parseCommandLine(args) {
  const flags = parseFlags(args);
  if (flags.help) return undefined;
  const only = (flags.only ?? BENCHMARKS).map((name) => {
    const found = BENCHMARKS.find((benchmark) => benchmark === name);
    if (found !== undefined) return found;
    throw new UsageError(`--only ${name} is not one of ${BENCHMARKS.join(', ')}`, '--help');
  });
  return {
    quick: flags.quick,
    only,
    copyBytes: flags.size === undefined ? undefined : parseSize(flags.size, '--size'),
    rounds: parseCount(flags.rounds, '--rounds', { min: 5, max: 1000 }) ?? 7,
    jsonPath: flags.json,
    workDirectory: flags.work,
    keep: flags.keep,
  };
}
