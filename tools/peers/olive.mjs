/**
 * Quantizes models with `compat=olive` and with the passes of Olive themselves, and compares the tensors byte by byte:
 *
 *   node tools/peers/olive.mjs [DIR …]
 *
 * The models of test/models/layouts, examples, and every `model.onnx` below each DIR. The Python packages of
 * requirements-olive.txt go to a virtual environment in the user's cache directory, made once. Exits: 0 equal, or
 * skipped because Python or its packages are not to be had (said so), 1 something differs, 2 nothing built.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pythonEnvironment } from './python-environment.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..', '..');
const command = join(root, 'dist', 'cli', 'main.js');

/**
 * One way of quantizing, as both say it.
 * @typedef {{ surgery: string, olive: Record<string, string | number | boolean> }} Run
 */

/**
 * The ways of one pass at one width: a MatMul's weight and, by RTN, a table.
 * @param {number} bits
 * @param {boolean} isSymmetric
 * @returns {Run[]}
 */
function rtnRuns(bits, isSymmetric) {
  const blockSize = isSymmetric ? 128 : 32;
  const common = `bits=${bits},block-size=${blockSize},symmetric=${isSymmetric},compat=olive`;
  const pass = 'OnnxBlockWiseRtnQuantization';
  const olive = { pass, bits, block_size: blockSize, is_symmetric: isSymmetric };
  return [
    {
      surgery: `quantize-matmul:method=rtn,accuracy-level=0,${common}`,
      olive: { ...olive, only: 'MatMul' },
    },
    { surgery: `quantize-embedding:method=rtn,${common}`, olive: { ...olive, only: 'Gather' } },
  ];
}

/** @param {number} bits @returns {Run} */
function kQuantRun(bits) {
  return {
    surgery: `OnnxKQuantQuantization:accuracy-level=0,bits=${bits},compat=olive`,
    olive: { pass: 'OnnxKQuantQuantization', bits, block_size: 32, only: 'MatMul' },
  };
}

/** @returns {Run[]} */
function allRuns() {
  const runs = [4, 8].flatMap((bits) => [
    ...rtnRuns(bits, false),
    ...rtnRuns(bits, true),
    kQuantRun(bits),
  ]);
  const int8 = { pass: 'QuantizeEmbeddingInt8' };
  return [...runs, { surgery: 'QuantizeEmbeddingInt8:compat=olive', olive: int8 }];
}

/** Paths of models below `directory`. @param {string} directory @returns {string[]} */
function modelsBelow(directory) {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('model.onnx'))
    .map((name) => join(directory, name))
    .sort();
}

/**
 * Runs one surgery; the path of the result, or undefined when nothing applied.
 * @param {string} input @param {string} output @param {string} surgery
 */
function apply(input, output, surgery) {
  const args = [command, 'apply', input, '-o', output, '--surgery', surgery, '--quiet'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status === 1) return undefined;
  if (status !== 0) throw new Error(`${input} ${surgery}: exit ${status}: ${stderr}`);
  return stdout.trimEnd();
}

/** @param {readonly string[]} directories @returns {number} */
function main(directories) {
  if (!existsSync(command)) {
    process.stderr.write('olive: dist/ is missing\n  run npm run build\n');
    return 2;
  }
  const environment = pythonEnvironment('requirements-olive.txt');
  if ('reason' in environment) {
    process.stdout.write(
      `olive: skipped, Python packages cannot be installed: ${environment.reason}\n`,
    );
    return 0;
  }
  const results = mkdtempSync(join(tmpdir(), 'lathe-olive-'));
  try {
    const roots = [join(root, 'test/models/layouts'), join(root, 'examples'), ...directories];
    const entries = roots.flatMap((folder) =>
      modelsBelow(folder).flatMap((input) => {
        const model = relative(folder, dirname(input));
        return allRuns().map(({ surgery, olive }, run) => {
          const output = apply(input, join(results, folder, model, `${run}`), surgery);
          return { model, input, olive, ...(output === undefined ? {} : { output }) };
        });
      }),
    );
    const manifest = join(results, 'manifest.json');
    writeFileSync(manifest, JSON.stringify(entries));
    const script = join(here, 'compare-olive.py');
    return spawnSync(environment.python, [script, manifest], { stdio: 'inherit' }).status ?? 1;
  } finally {
    rmSync(results, { recursive: true, force: true });
  }
}

process.exitCode = main(process.argv.slice(2));
