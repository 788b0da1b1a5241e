/** Measures the built command line; `npm run bench -- --help` says what and how. */

import { existsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ensureBuilt } from './bench/command-line-tool.mjs';
import { BenchError } from './bench/command-run.mjs';
import { measureCopy } from './bench/copy.mjs';
import { measureInstructionSets } from './bench/isa.mjs';
import { measureKernels } from './bench/kernels.mjs';
import { currentState, machineFacts } from './bench/machine.mjs';
import { formatTable, isMet } from './bench/measurement.mjs';
import { measureMemory } from './bench/memory.mjs';
import { measureMethods } from './bench/methods.mjs';
import { HELP, parseCommandLine } from './bench/options.mjs';
import { measureRepack } from './bench/repack.mjs';
import { measureStartup } from './bench/startup.mjs';
import { Workspace } from './bench/workspace.mjs';
import { NoSpaceError } from './make-model/make-model.mjs';
import { UsageError } from './make-model/options.mjs';

/** @typedef {import('./bench/measurement.mjs').Measurement} Measurement */
/** @typedef {import('./bench/options.mjs').BenchOptions} BenchOptions */

const MEASURE = {
  memory: measureMemory,
  copy: measureCopy,
  methods: measureMethods,
  repack: measureRepack,
  startup: measureStartup,
  kernels: measureKernels,
  isa: measureInstructionSets,
};

/** @param {ReturnType<typeof machineFacts>} machine */
function describeMachine({ cpu, cores, memoryBytes, kernel, fileSystem, node, cp, load, memory }) {
  const free = ((memory['MemAvailable'] ?? 0) / 1e9).toFixed(1);
  const busy = (load[0] ?? 0) > cores / 2;
  return [
    `${cpu}, ${cores} cores, ${(memoryBytes / 1e9).toFixed(1)} GB (${free} GB available), load ${load.join(' ')}`,
    `${kernel}, ${fileSystem}, Node ${node}, ${cp}; page cache warm, outputs fresh`,
    ...(busy
      ? ['Others were using the machine: trust memory, CPU and ratios, not wall time.']
      : []),
  ].join('\n');
}

/**
 * Prints the table of each benchmark as soon as it is done, so that an interrupted run is not all lost.
 * @param {BenchOptions} options
 */
function measureAll(options) {
  const workspace = new Workspace(options.workDirectory, options.keep);
  try {
    const machine = machineFacts(workspace.root);
    process.stdout.write(`${describeMachine(machine)}\n`);
    /** @type {Measurement[]} */
    const rows = [];
    /** @type {Record<string, ReturnType<typeof currentState>>} */
    const stateBefore = {};
    for (const name of options.only) {
      process.stderr.write(`bench: ${name}\n`);
      stateBefore[name] = currentState();
      const measured = MEASURE[name](workspace, options);
      process.stdout.write(`\n${formatTable(measured)}\n`);
      rows.push(...measured);
    }
    return { machine, stateBefore, rows };
  } finally {
    workspace.close();
  }
}

/** @param {readonly string[]} args */
function main(args) {
  const options = parseCommandLine(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  if (options.jsonPath !== undefined && !existsSync(dirname(options.jsonPath))) {
    throw new UsageError(`--json ${options.jsonPath}: no such directory`, 'create it first');
  }
  ensureBuilt();
  const result = measureAll(options);
  if (options.jsonPath !== undefined) {
    const rows = result.rows.map((row) => ({ ...row, met: isMet(row) }));
    const { quick, rounds } = options;
    const report = { schemaVersion: 1, options: { quick, rounds }, ...result, rows };
    writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (result.rows.some((row) => isMet(row) === false)) process.exitCode = 1;
}

// An interrupt ends the command that runs; its failure removes the models on the way out.
process.on('SIGINT', () => {});

try {
  main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`bench: ${error.message}\n  ${error.hint}\n`);
    process.exitCode = 2;
  } else if (error instanceof BenchError || error instanceof NoSpaceError) {
    process.stderr.write(`bench: ${error.message}\n`);
    process.exitCode = 5;
  } else {
    throw error;
  }
}
