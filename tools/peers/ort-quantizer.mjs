/**
 * Quantizes one fp16 model with onnx-lathe and with ONNX Runtime's MatMulNBitsQuantizer, in alternating rounds, and the
 * same number of weights with the kernels of both alone:
 *
 *   node tools/peers/ort-quantizer.mjs [--size SIZE] [--rounds N] [--work DIR] [--json FILE]
 *
 * 4 bits, blocks of 32, zero points, two threads at most; every result is flushed to disk within the clock. The head,
 * which stands behind a Transpose that MatMulNBitsQuantizer does not look through, is left alone by both. Exits: 0
 * measured, or skipped because Python or its packages are not to be had (said so), 2 wrong arguments, 5 no space or a
 * command failed.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureBuilt, latheCommand } from '../bench/command-line-tool.mjs';
import { BenchError, runCommand } from '../bench/command-run.mjs';
import { machineFacts } from '../bench/machine.mjs';
import { alternate } from '../bench/rounds.mjs';
import { summarize, summarizeRatios } from '../bench/statistics.mjs';
import { Workspace } from '../bench/workspace.mjs';
import { parseCount, parseSize, UsageError } from '../make-model/options.mjs';
import { pythonEnvironment } from './python-environment.mjs';

/** @typedef {import('../make-model/make-model.mjs').MadeModel} MadeModel */
/** @typedef {(model: MadeModel, output: string) => import('../bench/command-run.mjs').CommandRun} Contender */

const here = dirname(fileURLToPath(import.meta.url));
const script = join(here, 'quantize-ort.py');
const OURS = 'onnx-lathe, rtn';
// A weight that fits no cache, of which NumPy takes a second or two.
const [KERNEL_K, KERNEL_N] = [4096, 2048];

/** @param {string} python @returns {Record<string, Contender>} */
function contenders(python) {
  /** @param {string} algorithm @returns {Contender} */
  const peer = (algorithm) => (model, output) =>
    runCommand([python, script, algorithm, model.modelPath, output]);
  const surgery = 'quantize-matmul:method=rtn,bits=4,block-size=32,exclude=@head';
  return {
    [OURS]: (model, output) =>
      runCommand(
        latheCommand('apply', model.modelPath, '-o', output, '--surgery', surgery, '--quiet'),
      ),
    'MatMulNBitsQuantizer, DEFAULT (the same bytes)': peer('default'),
    'MatMulNBitsQuantizer, RTN': peer('rtn'),
  };
}

/** Normal fp16 weights, near enough: sums of four uniform ones. @param {number} count */
function halfWeights(count) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 32;
  };
  const weights = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    const value = (uniform() + uniform() + uniform() + uniform()) / 4;
    // The upper half of binary32 after scaling its exponent: fp16 without its last rounding.
    const bits = new Uint32Array(new Float32Array([Math.abs(value) * 2 ** -112]).buffer)[0] ?? 0;
    weights[i] = (value < 0 ? 0x8000 : 0) | (bits >>> 13);
  }
  return weights;
}

/** Weights per processor second of the kernel of a method. @param {string} method */
function kernelRate(method) {
  const require = createRequire(import.meta.url);
  const addon = require(join(here, '../../native/build/Release/lathe.node'));
  const [k, n] = [KERNEL_K, KERNEL_N];
  const source = new Uint8Array(halfWeights(k * n).buffer);
  const shape = { type: 10, bits: 4, blockSize: 32, symmetric: false, layout: 'columns', n, k };
  const outputs = [k * n * 0.5, (k / 32) * n * 2, (k / 64) * n].map((bytes) =>
    new Uint8Array(bytes).fill(1),
  );
  const rounds = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    addon.quantizeBuffer(addon.info().isa, { ...shape, method }, source, ...outputs);
    const { user, system } = process.cpuUsage(before);
    return (k * n) / ((user + system) / 1e6);
  });
  return summarize(rounds).median;
}

/** @param {string} python */
function kernels(python) {
  const seconds = Array.from({ length: 3 }, () => {
    const args = [script, 'kernel', `${KERNEL_K}`, `${KERNEL_N}`];
    const { status, stdout, stderr } = spawnSync(python, args, { encoding: 'utf8' });
    if (status !== 0) throw new BenchError(`quantize-ort.py kernel: ${stderr}`);
    return Number(stdout);
  });
  const theirs = (KERNEL_K * KERNEL_N) / summarize(seconds).median;
  const ours = Object.fromEntries(
    ['k-quant', 'search', 'olive-k-quant'].map((method) => [method, kernelRate(method)]),
  );
  return { theirs, ours };
}

/** @param {Record<string, import('../bench/command-run.mjs').CommandRun[]>} runs */
function modelRows(runs) {
  const ours = runs[OURS] ?? [];
  return Object.entries(runs).map(([name, list]) => {
    /** @param {'wallSeconds' | 'cpuSeconds' | 'peakBytes'} key */
    const all = (key) => list.map((run) => run[key] ?? Number.NaN);
    const ratios = all('wallSeconds');
    const own = ours.map(({ wallSeconds }) => wallSeconds);
    return {
      name,
      wallSeconds: summarize(all('wallSeconds')),
      cpuSeconds: summarize(all('cpuSeconds')),
      peakBytes: summarize(all('peakBytes')),
      timesOurWall: summarizeRatios(ratios, own),
    };
  });
}

/** @param {ReturnType<typeof modelRows>} rows @param {ReturnType<typeof kernels>} rates */
function tabulate(rows, rates) {
  const lines = [
    '| what | wall, median | range | processor time | peak memory | times onnx-lathe |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map(({ name, wallSeconds: wall, cpuSeconds, peakBytes, timesOurWall }) => {
      const range = `${wall.low.toFixed(2)}–${wall.high.toFixed(2)}`;
      const peak = `${(peakBytes.high / 1e6).toFixed(0)} MB`;
      return `| ${name} | ${wall.median.toFixed(2)} s | ${range} | ${cpuSeconds.median.toFixed(2)} s | ${peak} | ${timesOurWall.median.toFixed(1)} |`;
    }),
    '',
    '| kernel, fp16 weights | million weights per processor second | times k_quant |',
    '| --- | --- | --- |',
    ...Object.entries({ 'k_quant of ONNX Runtime': rates.theirs, ...rates.ours }).map(
      ([name, rate]) =>
        `| ${name} | ${(rate / 1e6).toFixed(1)} | ${(rate / rates.theirs).toFixed(0)} |`,
    ),
  ];
  return lines.join('\n');
}

/** @param {string[]} args */
function main(args) {
  const options = /** @type {const} */ ({
    size: { type: 'string', default: '1.4GB' },
    rounds: { type: 'string', default: '3' },
    work: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
  });
  const { size, rounds, work, json } = parseArgs({ args, options }).values;
  const bytes = parseSize(size, '--size');
  const count = parseCount(rounds, '--rounds', { min: 1, max: 100 }) ?? 1;
  const environment = pythonEnvironment();
  if ('reason' in environment) {
    process.stdout.write(
      `ort-quantizer: skipped, Python packages cannot be installed: ${environment.reason}\n`,
    );
    return;
  }
  ensureBuilt();
  const workspace = new Workspace(work, false);
  try {
    const machine = machineFacts(workspace.root);
    const rates = kernels(environment.python);
    const runs = workspace.withModel(`--size ${bytes}`, bytes, (model) =>
      alternate(workspace, model, count, contenders(environment.python)),
    );
    const rows = modelRows(runs);
    process.stdout.write(`${size}, ${count} rounds\n\n${tabulate(rows, rates)}\n`);
    const report = { machine, byteLength: bytes, rounds: count, models: rows, kernels: rates };
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  } finally {
    workspace.close();
  }
}

try {
  main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError || error instanceof TypeError;
  process.stderr.write(
    `ort-quantizer: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exitCode = isUsage ? 2 : error instanceof BenchError ? 5 : 1;
}
