import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli, cliHere, repositoryPath } from '../support/cli.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');
const scratch = useScratchDirectory();

function shrink(
  ...more: string[]
): Promise<{ status: number | null; stderr: string; stdout: string }> {
  return cliHere(['shrink', EXAMPLE, '-o', join(scratch(), 'small'), '--threads', '1', ...more]);
}

describe('diff', () => {
  it('of a model and itself says so and exits with 0', () => {
    const { status, stdout, stderr } = cli(['diff', EXAMPLE, EXAMPLE]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^the same: \d+ tensors compared, 7\.80 MiB and 7\.80 MiB\n$/);
  });

  it('exits with 1 where models differ, and gives the numbers of the run as JSON', async () => {
    const run = await shrink('--json');
    expect(run.status).toBe(0);
    const { errors } = JSON.parse(run.stdout);
    const { status, stdout } = await cliHere(['diff', EXAMPLE, join(scratch(), 'small'), '--json']);
    expect(status).toBe(1);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ schemaVersion: 1, same: false, onlyInA: [], onlyInB: [] });
    expect(errors).toHaveLength(29);
    for (const { tensor, bits: _, blockSize: __, ...error } of errors) {
      const found = report.tensors.find(({ b }: { b: string }) => b === tensor);
      expect(found?.error, tensor).toEqual(error);
    }
  });

  it('lists for people what changed, alike things in one line', async () => {
    await shrink('-q');
    const { status, stdout } = await cliHere(['diff', EXAMPLE, join(scratch(), 'small')]);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /MatMul → com\.microsoft::MatMulNBits: operator, edges, attributes +\S+ and 28 more/,
    );
    expect(stdout).toMatch(
      /dB {2}relative MSE \S+ +max \S+ at \d+, \d+ +worst block .*fp16 \[4096, 256\] → 8 bits/,
    );
    expect(stdout).toMatch(
      /\ndifferent: 29 tensors differ, \d+ the same, 7\.80 MiB and [\d.]+ MiB\n$/,
    );
  });

  it('answers in one line where one of them is no model', async () => {
    const damaged = join(scratch(), 'damaged');
    cpSync(EXAMPLE, damaged, { recursive: true });
    const data = join(damaged, 'model.onnx.data');
    writeFileSync(data, readFileSync(data).subarray(0, 1000));
    const cut = await cliHere(['diff', EXAMPLE, damaged]);
    expect(cut.status).toBe(3);
    expect(cut.stderr).toMatch(/^onnx-lathe: [^\n]*model\.onnx\.data[^\n]*\n {2}[^\n]+\n$/);
    const empty = join(scratch(), 'empty');
    mkdirSync(empty);
    const none = await cliHere(['diff', empty, EXAMPLE]);
    expect(none.status).toBeGreaterThan(1);
    expect(none.stderr.split('\n')).toHaveLength(3);
  });
});

describe('measured error of a run', () => {
  it('is told per tensor with -v and summed up', async () => {
    const { status, stderr } = await shrink('-v');
    expect(status).toBe(0);
    expect(stderr).toMatch(/^\d\d\.\d dB {2}relative MSE 0\.\d+ .*weight_t_Q4$/m);
    expect(stderr).toMatch(/^error: \d\d\.\d dB in all, \d\d\.\d dB at worst \("\S+_Q4"\)$/m);
  });

  it('takes no time where nobody asks', async () => {
    expect((await shrink()).stderr).not.toContain('dB');
  });
});

describe('--min-snr', () => {
  it('leaves what would be noisier, with numbers', async () => {
    const { status, stderr, stdout } = await shrink('--min-snr', '30', '--json');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { steps, gateBytesRead, errors } = JSON.parse(stdout);
    const declined = steps.flatMap((step: { declined: { reason: string }[] }) => step.declined);
    expect(declined.length).toBeGreaterThanOrEqual(28);
    expect(declined[0].reason).toMatch(
      /^\S+ with 4 bits in blocks of \d+ would leave it \d\d\.\d dB, less than 30$/,
    );
    // The table is measured and kept: 8 bits are enough. All weights were read once more.
    expect(errors).toHaveLength(1);
    expect(gateBytesRead).toBeGreaterThan(7_000_000);
  });

  it('writes nothing and exits with 1 where all are declined', async () => {
    const spec = 'quantize-matmul:bits=2,min-snr=40';
    const { status, stderr } = await cliHere([
      ...['apply', EXAMPLE, '-o', join(scratch(), 'none'), '--surgery', spec],
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /left \S+: \S+ with 2 bits in blocks of 32 would leave it \d\.\d dB, less than 40/,
    );
    expect(stderr).toContain('nothing changed, nothing was written');
  });

  it('refuses what is no number of decibels', async () => {
    const { status, stderr } = await shrink('--min-snr', 'loud');
    expect(status).toBe(2);
    expect(stderr).toContain('a number of decibels from 0 to 1000');
  });
});
