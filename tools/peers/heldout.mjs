/**
 * Measures recipes by the full held-out text of examples/austen-tiny, of which that folder has the first quarter:
 *
 *   node tools/peers/heldout.mjs [--ids FILE] [RECIPE …]
 *
 * The text, the end of Jane Austen's Persuasion, comes from Debian's package r-cran-janeaustenr; `--ids` keeps its token
 * ids. Without recipes it measures the model as it is and all recipes of the bar; about half a minute each. Exits: 0
 * measured, or skipped because the packages are not to be had (said so), 1 the text is another one, 2 nothing built.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pythonEnvironment } from './python-environment.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const command = join(root, 'dist', 'cli', 'main.js');
const example = join(root, 'examples', 'austen-tiny');
const model = join(example, 'mobius-fp16');
const RECIPES = ['q4-small', 'q4', 'q4-mixed', 'q8'];
const DEBIAN_PACKAGE = 'r-cran-janeaustenr=1.0.0-1';

/**
 * What a program prints; throws with what it says when it fails.
 * @param {string} program @param {string[]} args @param {string} [cwd]
 */
function run(program, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', cwd });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args[0]}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
}

/** Unpacks the novels into `directory`; the folder that holds them. @param {string} directory */
function fetchBooks(directory) {
  run('apt-get', ['download', DEBIAN_PACKAGE], directory);
  const archive = readdirSync(directory).find((name) => name.endsWith('.deb')) ?? '';
  run('dpkg-deb', ['-x', archive, 'package'], directory);
  return join(directory, 'package/usr/lib/R/site-library/janeaustenr/data');
}

/** Bytes of a model and its data. @param {string} directory */
function byteLength(directory) {
  const files = readdirSync(directory).filter((name) => name.startsWith('model.onnx'));
  return files.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

/** @param {string} directory @param {string} ids */
function row(directory, ids) {
  const report = run(process.execPath, [command, 'evaluate', directory, '--tokens', ids, '--json']);
  return `${byteLength(directory)} | ${JSON.parse(report).perplexity.toFixed(3)}`;
}

/** @param {string[]} args @returns {number} */
function main(args) {
  const { values, positionals } = parseArgs({
    args,
    options: { ids: { type: 'string' } },
    allowPositionals: true,
  });
  if (!existsSync(command)) {
    process.stderr.write('heldout: dist/ is missing\n  run npm run build\n');
    return 2;
  }
  const work = mkdtempSync(join(tmpdir(), 'lathe-heldout-'));
  try {
    const skip = (/** @type {string} */ reason) => {
      process.stdout.write(`heldout: skipped, the packages cannot be had: ${reason}\n`);
      return 0;
    };
    const environment = pythonEnvironment('requirements-heldout.txt');
    if ('reason' in environment) return skip(environment.reason);
    let books;
    try {
      books = fetchBooks(work);
    } catch (error) {
      return skip(error instanceof Error ? error.message : String(error));
    }
    const ids = join(work, 'ids.json');
    const excerpt = join(example, 'heldout.tokens.json');
    const tokenizer = join(model, 'tokenizer.json');
    run(environment.python, [join(here, 'heldout.py'), books, tokenizer, excerpt, ids]);
    if (values.ids !== undefined) copyFileSync(ids, values.ids);
    process.stdout.write('| recipe | bytes | perplexity |\n| --- | --- | --- |\n');
    if (positionals.length === 0) process.stdout.write(`| | ${row(model, ids)} |\n`);
    for (const recipe of positionals.length === 0 ? RECIPES : positionals) {
      const output = join(work, recipe);
      run(process.execPath, [command, 'shrink', model, '-o', output, '--recipe', recipe, '-q']);
      process.stdout.write(`| ${recipe} | ${row(output, ids)} |\n`);
    }
    return 0;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`heldout: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
