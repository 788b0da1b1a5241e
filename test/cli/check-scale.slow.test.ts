/** What a check of large graphs takes: of 100,000 nodes, and of hundreds of thousands of initializers. */

import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import { cli, repositoryPath } from '../support/cli.ts';
import { writeManyInitializers } from '../support/many-initializers.ts';
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

it('takes little more than inspecting it for hundreds of thousands of initializers', () => {
  const path = scratch('model.onnx');
  writeManyInitializers(path, INITIALIZERS);
  const { status, last, peak } = run('check', path);
  expect([status, last]).toEqual([0, 'no findings in 2,001 nodes, 200,000 tensors, 1 file']);
  // Every tensor is looked into, one at a time: what remains is what each takes, some 70 bytes.
  expect(peak).toBeLessThan(run('inspect', path).peak + 24 * MIB);
}, 240_000);
