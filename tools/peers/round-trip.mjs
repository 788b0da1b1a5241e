/**
 * Reads real models and writes them again, unedited, and lets the Python tools say whether anything changed:
 *
 *   node tools/peers/round-trip.mjs [DIR …]
 *
 * Models: those that the onnx package ships and generates for its backend tests, test/models, examples, and every
 * `.onnx` below each DIR. Each is written twice: as it came, and with every message decoded and encoded again.
 * Exits: 0 nothing changed, or skipped because Python or its packages are not to be had (said so), 1 otherwise,
 * 2 nothing built.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pythonEnvironment } from './python-environment.mjs';
import { rewriteModel } from './rewrite-model.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');

/** Models below `directory`, at any depth. @param {string} directory @returns {string[]} */
function modelsBelow(directory) {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.onnx'))
    .map((name) => join(directory, name))
    .sort();
}

/**
 * Writes `input` to `output` with its data files beside it. Returns why it was declined.
 * @param {string} input @param {string} output @param {boolean} isDecoded
 */
function roundTrip(input, output, isDecoded) {
  mkdirSync(dirname(output), { recursive: true });
  try {
    for (const file of rewriteModel(input, output, isDecoded)) {
      const copy = join(dirname(output), relative(dirname(input), file));
      mkdirSync(dirname(copy), { recursive: true });
      if (!existsSync(copy)) copyFileSync(file, copy);
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** @param {string} work @param {string} python @param {readonly string[]} directories */
function makePairs(work, python, directories) {
  const collected = join(work, 'collected');
  const script = join(here, 'round-trip.py');
  const { status } = spawnSync(python, [script, 'collect', collected], { stdio: 'inherit' });
  if (status !== 0) throw new Error('the models of the onnx package could not be collected');
  const pairs = [];
  for (const folder of [
    collected,
    join(root, 'test/models'),
    join(root, 'examples'),
    ...directories,
  ]) {
    for (const input of modelsBelow(folder)) {
      for (const variant of ['as-it-came', 'decoded']) {
        const output = join(work, variant, String(pairs.length), relative(folder, input));
        const declined = roundTrip(input, output, variant === 'decoded');
        pairs.push({ input, output, variant, ...(declined === undefined ? {} : { declined }) });
      }
    }
  }
  return pairs;
}

/** @param {readonly string[]} args @returns {number} */
function main(args) {
  const environment = pythonEnvironment();
  if ('reason' in environment) {
    process.stdout.write(
      `round-trip: skipped, Python packages cannot be installed: ${environment.reason}\n`,
    );
    return 0;
  }
  const work = mkdtempSync(join(tmpdir(), 'lathe-round-trip-'));
  try {
    const pairs = makePairs(
      work,
      environment.python,
      args.map((arg) => resolve(arg)),
    );
    const manifest = join(work, 'pairs.json');
    writeFileSync(manifest, JSON.stringify(pairs));
    const script = join(here, 'round-trip.py');
    const { status } = spawnSync(environment.python, [script, 'compare', manifest], {
      stdio: 'inherit',
    });
    return status ?? 1;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

process.exitCode = main(process.argv.slice(2));
