/** The main job on the embedded model: shrink it with two recipes, then run input and results in ONNX Runtime. */

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluateModel, inspectModel } from '../dist/index.js';

const here = dirname(fileURLToPath(import.meta.url));
const command = join(here, '..', 'dist', 'cli', 'main.js');
const source = join(here, 'austen-tiny', 'mobius-fp16');
const outputs = join(here, 'out');
const tokens = Int32Array.from(
  JSON.parse(readFileSync(join(here, 'austen-tiny', 'heldout.tokens.json'), 'utf8')),
);

/** Runs the command as a user would and returns its report; a process of its own, so that its peak memory is its own. */
function shrink(recipe) {
  const output = join(outputs, recipe);
  const args = [command, 'shrink', source, '-o', output, '--recipe', recipe, '--json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr || `shrink ended with exit code ${status}`);
  return JSON.parse(stdout);
}

async function perplexity(name, modelPath) {
  const show = process.stderr.isTTY === true;
  const { perplexity } = await evaluateModel(modelPath, {
    tokens,
    onProgress: ({ windowsDone, windows }) => {
      if (show) process.stderr.write(`\r\u001b[2K${name}: ${windowsDone} of ${windows} windows`);
    },
  });
  if (show) process.stderr.write('\r\u001b[2K');
  return perplexity;
}

/** How many copies of the vocabulary table a model stores. */
const tables = (path) => (inspectModel(path).tie.startsWith('same') ? '1' : '2');
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(2)} MiB`;

rmSync(outputs, { recursive: true, force: true });
const rows = [['model', 'size', 'bits/weight', 'tables', 'perplexity', 'time', 'peak memory']];
const before = shrink('q4');
const input = await perplexity('input', join(source, 'model.onnx'));
rows.push([
  'input, fp16',
  mebibytes(before.input.byteLength),
  '16.0',
  tables(before.input.path),
  input.toFixed(3),
  '',
  '',
]);
for (const recipe of ['q4', 'q4-small']) {
  const report = recipe === 'q4' ? before : shrink(recipe);
  const after = await perplexity(recipe, report.output.path);
  rows.push([
    recipe,
    mebibytes(report.output.byteLength),
    report.bitsPerWeight.toFixed(1),
    tables(report.output.path),
    after.toFixed(3),
    `${report.seconds.toFixed(2)} s`,
    mebibytes(report.peakRssBytes),
  ]);
}
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
for (const [index, row] of rows.entries()) {
  console.log(
    row.map((cell, column) => cell[column ? 'padStart' : 'padEnd'](widths[column])).join('  '),
  );
  if (index === 0) console.log(widths.map((width) => '-'.repeat(width)).join('  '));
}
console.log(
  `\nResults are in ${join('examples', 'out')}; all three ran in ONNX Runtime on ${tokens.length} tokens of held-out text.`,
);
