import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareOutputs } from '../../src/evaluate/compare-outputs.ts';
import { cli, repositoryPath } from '../support/cli.ts';
import { readSafetensors } from '../support/safetensors.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { tensorContents } from '../support/tensor-list.ts';
import { ROWS, setExternal, writeTiny } from './tiny-model.ts';
import { snapshot } from './tree.ts';

const scratch = useScratchDirectory();

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');
const TABLE_BYTES = ROWS * 32 * 4;

function run(...args: string[]) {
  return cli(args, { cwd: scratch() });
}

function repack(...args: string[]) {
  return run('repack', ...args);
}

/** A model whose two weights are the same bytes. */
function writeTied(): string {
  const path = writeTiny(scratch('in'), ({ graph }) =>
    setExternal(graph.initializer?.[1], 'offset', '0'),
  );
  truncateSync(`${path}.data`, TABLE_BYTES);
  return path;
}

const SHARED = `a tensor shares bytes with another ("weight" with "table"); safetensors cannot, so ${TABLE_BYTES} bytes (12.0 KiB) are written again; the data format raw keeps one copy`;

describe('repack --data-format safetensors', () => {
  it('of a real model computes the same, bit for bit, and comes back', async () => {
    const there = repack(EXAMPLE, '-o', 'st', '--data-format', 'safetensors');
    expect([there.status, there.stderr]).toEqual([0, '']);
    expect(readdirSync(scratch('st'))).toContain('model.safetensors');
    const [input, output] = [join(EXAMPLE, 'model.onnx'), scratch('st', 'model.onnx')];
    expect(tensorContents(output)).toEqual(tensorContents(input));
    const { logits, outputs, ...differences } = await compareOutputs(input, output, [1, 2, 3, 50]);
    expect(differences).toEqual({ interfaceDifferences: [], shapeDifferences: [] });
    expect(logits?.maxMagnitude).toBeGreaterThan(1);
    expect(outputs.map(({ maxAbs }) => maxAbs)).toEqual(outputs.map(() => 0));
    expect(readSafetensors(scratch('st', 'model.safetensors')).entries.size).toBeGreaterThan(20);

    expect(repack('st', '-o', 'back', '--data-format', 'raw').status).toBe(0);
    expect(readdirSync(scratch('back'))).toContain('model.onnx.data');
    expect(tensorContents(scratch('back', 'model.onnx'))).toEqual(tensorContents(input));
  });

  it('is done once', () => {
    writeTiny(scratch('in'));
    const first = repack('in', '--in-place', '--data-format', 'safetensors');
    expect([first.status, first.stderr]).toEqual([0, 'model.onnx.data was removed\n']);
    const before = snapshot(scratch('in'));
    for (const more of [[], ['--data-format', 'safetensors'], ['-n']]) {
      const { status, stdout, stderr } = repack('in', '--in-place', ...more);
      expect([status, stdout, stderr]).toEqual([1, '', 'nothing to do, nothing was written\n']);
    }
    expect(snapshot(scratch('in'))).toEqual(before);
    expect(run('check', 'in').status).toBe(0);
    expect(run('inspect', 'in').stdout).toMatch(
      /^data +model\.safetensors: 28\.0 KiB, 0 bytes unused$/m,
    );
  });

  it('says before it writes what shared bytes cost, in the plan and in the report', () => {
    writeTied();
    const args = ['in', '-o', 'out', '--data-format', 'safetensors'];
    const before = snapshot(scratch());
    const planned = repack(...args, '-n');
    expect([planned.status, planned.stderr]).toEqual([0, `warning: ${SHARED}\n`]);
    expect(planned.stdout).toMatch(/^model\.safetensors +28672 bytes/m);
    expect(snapshot(scratch())).toEqual(before);
    const asJson = JSON.parse(repack(...args, '-n', '--json').stdout);
    expect(asJson).toMatchObject({ warnings: [SHARED], aliases: 0 });
    const written = repack(...args);
    expect([written.status, written.stderr]).toEqual([0, `warning: ${SHARED}\n`]);
    const { bytes } = readSafetensors(scratch('out', 'model.safetensors'));
    expect(bytes('table').equals(bytes('weight'))).toBe(true);
    // What is shared stays so in every other format.
    expect(repack('in', '-o', 'raw', '-n').stdout).toContain(
      '1 tensor shares the bytes of another',
    );
  });

  it.each([
    [
      ['--embed', '--data-format', 'safetensors'],
      'embed and data format exclude each other',
      'embed leaves nothing for data files',
    ],
    [
      ['--data-format', 'safetensors', '--data-name', 'w.bin'],
      'data name "w.bin" does not fit the data format safetensors',
      'give one ending in .safetensors',
    ],
    [
      ['--data-format', 'raw', '--data-name', '{model}.safetensors'],
      'data name "{model}.safetensors" does not fit the data format raw',
      'only safetensors end in .safetensors',
    ],
    [
      ['--data-format', 'safetensors', '--align', '128MiB'],
      'align is 134217728, further than the header of safetensors can be padded',
      'give at most 64MiB, or the data format raw',
    ],
  ])('%j is refused', (args, message, hint) => {
    writeTiny(scratch('in'));
    const before = snapshot(scratch());
    const { status, stdout, stderr } = repack('in', '-o', 'out', ...args);
    expect([status, stdout, stderr]).toEqual([2, '', `onnx-lathe: ${message}\n  ${hint}\n`]);
    expect(snapshot(scratch())).toEqual(before);
  });

  it('knows two formats', () => {
    writeTiny(scratch('in'));
    const { status, stderr } = repack('in', '-o', 'out', '--data-format', 'gguf');
    expect(status).toBe(2);
    expect(stderr).toMatch(/^onnx-lathe: .*'gguf' is invalid.*\n/);
  });
});

it('check tells of a safetensors file that its readers refuse', () => {
  writeTiny(scratch('in'));
  repack('in', '-o', 'out', '--data-format', 'safetensors');
  const data = scratch('out', 'model.safetensors');
  const text = readFileSync(data, 'latin1').replace(
    '"F32","shape":[96,32]',
    '"I64","shape":[96,32]',
  );
  writeFileSync(data, text, 'latin1');
  const { status, stdout } = run('check', 'out');
  expect(status).toBe(1);
  expect(stdout).toBe(
    'warnings:\n' +
      '  safetensors-header  model.safetensors  entry "table" has 12288 bytes, I64 [96,32] takes 24576\n' +
      '  safetensors-entry   tensor table       its entry in "model.safetensors" is "I64" [96, 32]\n' +
      '2 warnings in 2 nodes, 2 tensors, 2 files\n',
  );
});
