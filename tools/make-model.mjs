/**
 * Writes a decoder of a given size with pseudo-random weights, for benchmarks and tests:
 *
 *   node tools/make-model.mjs --size 10GB -o DIR
 *
 * `--help` lists the options. Exits: 0 made, 2 wrong arguments, 5 no space or another error of the system.
 */

import { existsSync } from 'node:fs';
import { HELP, parseCommandLine, UsageError } from './make-model/options.mjs';

if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  process.stderr.write('make-model: dist/ is missing\n  run npm run build\n');
  process.exit(2);
}
const { makeModel, NoSpaceError } = await import('./make-model/make-model.mjs');

/** @param {number} bytes */
function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
}

/**
 * One line: what was made, and how fast.
 * @param {import('./make-model/options.mjs').ModelRequest} request
 * @param {import('./make-model/make-model.mjs').MadeModel} made
 * @param {number} seconds
 */
function summary(request, made, seconds) {
  const { layers, hiddenSize, intermediateSize, vocabSize } = made.shape;
  const kind = `${request.layout}, ${request.dtype}, ${request.tied ? 'tied' : 'untied'}`;
  const shape =
    `${layers} layers, hidden ${hiddenSize}, intermediate ${intermediateSize}, ` +
    `vocabulary ${vocabSize}, ${made.nodes} nodes`;
  const sizes = `graph ${megabytes(made.modelBytes)}, data ${megabytes(made.dataBytes)}`;
  const rate = request.sparse ? ' (sparse)' : ` (${megabytes(made.dataBytes / seconds)}/s)`;
  return `${made.modelPath}: ${kind}, ${shape}; ${sizes} in ${seconds.toFixed(1)} s${rate}`;
}

/** @param {readonly string[]} args */
function main(args) {
  const command = parseCommandLine(args);
  if (command === undefined) {
    process.stdout.write(HELP);
    return;
  }
  const start = performance.now();
  const made = makeModel(command.request, command.directory);
  const seconds = (performance.now() - start) / 1000;
  process.stdout.write(`${summary(command.request, made, seconds)}\n`);
}

try {
  main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`make-model: ${error.message}\n  ${error.hint}\n`);
    process.exitCode = 2;
  } else if (error instanceof NoSpaceError || (error instanceof Error && 'syscall' in error)) {
    process.stderr.write(`make-model: ${error.message}\n`);
    process.exitCode = 5;
  } else {
    throw error;
  }
}
