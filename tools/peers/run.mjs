/**
 * Shrinks every model of test/models/layouts and examples with every named recipe and lets the Python tools judge:
 *
 *   node tools/peers/run.mjs [--keep DIR]
 *
 * The Python packages of requirements.txt go to a virtual environment in the user's cache directory, made once.
 * `--keep` makes the results in DIR, which must hold none, and leaves them there. Exits: 0 all accepted, or skipped because Python or its packages are not to be
 * had (said so), 1 a result was refused, 2 wrong arguments or nothing built.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pythonEnvironment } from './python-environment.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const command = join(root, 'dist', 'cli', 'main.js');
const recipes = ['q4', 'q4-small', 'q4-mixed', 'q8', 'int8-embedding'];

/** Directories below `directory` that hold a model, at any depth. @param {string} directory @returns {string[]} */
function modelDirectories(directory) {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.onnx'))
    .map((name) => dirname(join(directory, name)))
    .sort();
}

/**
 * Runs one recipe; undefined when nothing applied.
 * @param {string} input @param {string} output @param {string} recipe
 */
function shrink(input, output, recipe) {
  const args = [command, 'shrink', input, '-o', output, '--recipe', recipe, '--quiet'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status === 1) return undefined;
  if (status !== 0) throw new Error(`${input} ${recipe}: exit ${status}: ${stderr}`);
  return stdout.trimEnd();
}

/** Every result with its input. @param {string} results */
function makeResults(results) {
  const entries = [];
  for (const folder of ['test/models/layouts', 'examples']) {
    for (const directory of modelDirectories(join(root, folder))) {
      const model = relative(join(root, folder), directory);
      for (const recipe of recipes) {
        const output = shrink(directory, join(results, model, recipe), recipe);
        if (output === undefined) continue;
        entries.push({ model, recipe, input: join(directory, 'model.onnx'), output });
      }
    }
  }
  return entries;
}

/** @param {readonly string[]} args @returns {number} */
function main(args) {
  const keep = args[0] === '--keep' && args.length === 2 ? args[1] : undefined;
  if (args.length > 0 && keep === undefined) {
    process.stderr.write('peers: usage: node tools/peers/run.mjs [--keep DIR]\n');
    return 2;
  }
  if (!existsSync(command)) {
    process.stderr.write('peers: dist/ is missing\n  run npm run build\n');
    return 2;
  }
  const environment = pythonEnvironment();
  if ('reason' in environment) {
    process.stdout.write(
      `peers: skipped, Python packages cannot be installed: ${environment.reason}\n`,
    );
    return 0;
  }
  const results = keep ?? mkdtempSync(join(tmpdir(), 'lathe-peers-'));
  try {
    mkdirSync(results, { recursive: true });
    const manifest = join(results, 'manifest.json');
    writeFileSync(manifest, JSON.stringify(makeResults(results)));
    const script = join(here, 'check-outputs.py');
    const { status } = spawnSync(environment.python, [script, manifest], { stdio: 'inherit' });
    return status ?? 1;
  } finally {
    if (keep === undefined) rmSync(results, { recursive: true, force: true });
  }
}

process.exitCode = main(process.argv.slice(2));
