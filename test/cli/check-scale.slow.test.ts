/** What a check of large graphs takes: of 100,000 nodes, and of hundreds of thousands of initializers. */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import { field, floats, intField } from '../proto/wire-builder.ts';
import { cli, repositoryPath } from '../support/cli.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

/** Prints the largest memory of the process when it ends. */
const PRINT_PEAK = `data:text/javascript,${encodeURIComponent(
  "process.on('exit', () => process.stderr.write('peak ' + process.resourceUsage().maxRSS))",
)}`;

/** Runs a command; returns its exit code, the last line it printed, and its peak memory in bytes. */
function run(...args: string[]) {
  const env = { NODE_OPTIONS: `--import=${PRINT_PEAK}` };
  const { status, stdout, stderr } = cli(args, { env });
  const kibibytes = Number(/peak (\d+)$/.exec(stderr)?.[1]);
  return { status, last: stdout.trimEnd().split('\n').at(-1), peak: kibibytes * 1024 };
}

const INITIALIZERS = 200_000;
const INPUTS = 100;

/** Writes a model in which nodes of a hundred inputs add up scalars. */
function writeMany(path: string): void {
  const parts: number[][] = [];
  const outputs: string[] = [];
  for (let first = 0; first < INITIALIZERS; first += INPUTS) {
    const inputs = Array.from({ length: INPUTS }, (_, index) =>
      field(1, `weight_${first + index}`),
    );
    const output = `sum_${first}`;
    outputs.push(output);
    parts.push(field(1, [...inputs.flat(), ...field(2, output), ...field(4, 'Sum')]));
  }
  const all = outputs.flatMap((output) => field(1, output));
  parts.push(field(1, [...all, ...field(2, 'y'), ...field(4, 'Sum')]));
  const type = field(1, [...intField(1, 1), ...field(2, [])]);
  parts.push(field(12, [...field(1, 'y'), ...field(2, type)]));
  for (let index = 0; index < INITIALIZERS; index++) {
    const name = field(8, `weight_${index}`);
    parts.push(field(5, [...intField(2, 1), ...name, ...field(9, floats(index))]));
  }
  const chunks = parts.map((part) => Uint8Array.from(part));
  const graph = Buffer.concat(chunks);
  const head = [...intField(1, 9), ...field(8, intField(2, 18)), 0x3a];
  const length: number[] = [];
  for (let rest = graph.length; rest > 0; rest = Math.floor(rest / 128)) {
    length.push((rest % 128) + (rest >= 128 ? 128 : 0));
  }
  const fd = openSync(path, 'w');
  writeSync(fd, Uint8Array.from([...head, ...length]));
  writeSync(fd, graph);
  closeSync(fd);
}

it('takes less than 256 MiB for a graph of 100,000 nodes', () => {
  const maker = repositoryPath('tools/make-model.mjs');
  execFileSync(process.execPath, [maker, '--nodes', '100000', '--sparse', '-o', scratch('m')]);
  const { status, last, peak } = run('check', scratch('m'));
  expect([status, last]).toEqual([
    0,
    expect.stringMatching(/^no findings in 100,\d{3} nodes, 59,999 tensors, 2 files$/),
  ]);
  expect(peak).toBeLessThan(256 * MIB);
}, 120_000);

it('takes no more than inspecting it for hundreds of thousands of initializers', () => {
  const path = scratch('model.onnx');
  writeMany(path);
  const { status, last, peak } = run('check', path);
  expect([status, last]).toEqual([0, 'no findings in 2,001 nodes, 200,000 tensors, 1 file']);
  expect(peak).toBeLessThan(run('inspect', path).peak + 8 * MIB);
}, 240_000);
