/**
 * Moves one model with onnx-lathe and with the Python packages, in alternating rounds, and prints time and memory:
 *
 *   node tools/peers/side-by-side.mjs [--size SIZE] [--rounds N] [--work DIR]
 *
 * The whole model saved anew, and the first quarter of its layers extracted; every result is flushed to disk within the
 * clock. Exits: 0 measured, or skipped because Python or its packages are not to be had (said so), 2 wrong arguments,
 * 5 no space or a command failed.
 */
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureBuilt, latheCommand } from '../bench/command-line-tool.mjs';
import { BenchError, runCommand } from '../bench/command-run.mjs';
import { alternate, copyWith } from '../bench/rounds.mjs';
import { summarize } from '../bench/statistics.mjs';
import { Workspace } from '../bench/workspace.mjs';
import { parseCount, parseSize, UsageError } from '../make-model/options.mjs';
import { pythonEnvironment } from './python-environment.mjs';

/** @typedef {import('../make-model/make-model.mjs').MadeModel} MadeModel */
/** @typedef {(model: MadeModel, output: string) => import('../bench/command-run.mjs').CommandRun} Contender */

const script = join(dirname(fileURLToPath(import.meta.url)), 'move-model.py');

/**
 * The last output of the first quarter: extract_model cannot serialize a part of more than 2 GB, and insists on outputs
 * with a type, which present.<layer>.key has.
 * @param {MadeModel} model
 */
function endOfPart({ shape }) {
  return `present.${Math.floor(shape.layers / 4)}.key`;
}

/**
 * @param {string} python
 * @returns {Record<string, Contender>}
 */
function contenders(python) {
  /** @param {string} method @param {(model: MadeModel) => string[]} [more] @returns {Contender} */
  const peer = (method, more) => (model, output) =>
    runCommand([python, script, method, model.modelPath, output, ...(more?.(model) ?? [])]);
  return {
    'save: onnx-lathe repack': (model, output) =>
      runCommand(latheCommand('repack', model.modelPath, '-o', output, '--quiet')),
    'save: onnx_ir.load, onnx_ir.save': peer('ir-save'),
    'save: onnx.load, onnx.save': peer('onnx-save'),
    'save: cp of the data, fsync': copyWith({ flushed: true }),
    'extract: onnx-lathe extract-subgraph': (model, output) => {
      const surgery = `extract-subgraph:outputs=${endOfPart(model)}`;
      const rest = ['-o', output, '--surgery', surgery, '--quiet'];
      return runCommand(latheCommand('apply', model.modelPath, ...rest));
    },
    'extract: onnx.utils.extract_model': peer('onnx-extract', (model) => [endOfPart(model)]),
  };
}

/** @param {Record<string, import('../bench/command-run.mjs').CommandRun[]>} runs */
function tabulate(runs) {
  const lines = [
    '| what | wall, median | range | processor time | peak memory |',
    '| --- | --- | --- | --- | --- |',
  ];
  for (const [name, list] of Object.entries(runs)) {
    const wall = summarize(list.map(({ wallSeconds }) => wallSeconds));
    const cpu = summarize(list.map(({ cpuSeconds }) => cpuSeconds ?? Number.NaN));
    const peak = summarize(list.map(({ peakBytes }) => (peakBytes ?? Number.NaN) / 1e6));
    const range = `${wall.low.toFixed(2)}–${wall.high.toFixed(2)}`;
    lines.push(
      `| ${name} | ${wall.median.toFixed(2)} s | ${range} | ${cpu.median.toFixed(2)} s | ${peak.high.toFixed(0)} MB |`,
    );
  }
  return lines.join('\n');
}

/** @param {string[]} args */
function main(args) {
  const options = /** @type {const} */ ({
    size: { type: 'string', default: '4GB' },
    rounds: { type: 'string', default: '5' },
    work: { type: 'string', default: tmpdir() },
  });
  const { size, rounds, work } = parseArgs({ args, options }).values;
  const bytes = parseSize(size, '--size');
  const count = parseCount(rounds, '--rounds', { min: 1, max: 100 }) ?? 1;
  const environment = pythonEnvironment();
  if ('reason' in environment) {
    process.stdout.write(
      `side-by-side: skipped, Python packages cannot be installed: ${environment.reason}\n`,
    );
    return;
  }
  ensureBuilt();
  const workspace = new Workspace(work, false);
  try {
    const runs = workspace.withModel(`--size ${bytes}`, 2 * bytes, (model) =>
      alternate(workspace, model, count, contenders(environment.python)),
    );
    process.stdout.write(`${size}, ${count} rounds\n\n${tabulate(runs)}\n`);
  } finally {
    workspace.close();
  }
}

try {
  main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError || error instanceof TypeError;
  process.stderr.write(`side-by-side: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = isUsage ? 2 : error instanceof BenchError ? 5 : 1;
}
