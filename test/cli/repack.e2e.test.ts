import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareOutputs } from '../../src/evaluate/compare-outputs.ts';
import { cli, cliHere, repositoryPath } from '../support/cli.ts';
import { writeModel } from '../support/model-builder.ts';
import { scatter } from '../support/scattered-model.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { tensorContents } from '../support/tensor-list.ts';
import { ROWS, writeTiny } from './tiny-model.ts';
import { snapshot } from './tree.ts';

const scratch = useScratchDirectory();

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');
/** Bytes of each of the two weights of the tiny model. */
const TABLE_BYTES = ROWS * 32 * 4;

interface Report {
  readonly changed: boolean;
  readonly dryRun: boolean;
  readonly steps: readonly unknown[];
  readonly output: {
    readonly path: string;
    readonly byteLength: number;
    readonly files: readonly { readonly name: string; readonly byteLength: number }[];
    readonly removed: readonly string[];
  };
  readonly tensors: readonly { readonly name: string; readonly placement: string }[];
  readonly bytesWritten: number;
}

function repack(...args: string[]) {
  return cliHere(['repack', ...args], { cwd: scratch() });
}

/** A package with 3,000 dead bytes before each weight. */
function writeDead(name = 'in'): string {
  const path = writeTiny(scratch(name));
  const offsets = { table: 3000, weight: 6000 + TABLE_BYTES };
  scatter(path, (tensor) => [
    'model.onnx.data',
    tensor === 'table' ? offsets.table : offsets.weight,
  ]);
  writeFileSync(scratch(name, 'tokenizer.json'), '{"model":{}}');
  return path;
}

function sizes(directory: string): Record<string, number> {
  const names = readdirSync(directory).sort();
  return Object.fromEntries(names.map((name) => [name, statSync(join(directory, name)).size]));
}

describe('repack -o', () => {
  it('drops dead bytes, brings other files along, and sums up in one line', async () => {
    const input = writeDead();
    const before = snapshot(scratch('in'));
    const { status, stdout, stderr } = cli(['repack', 'in', '-o', 'out'], { cwd: scratch() });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^model\.onnx \(30\.\d KiB\) → out\/model\.onnx \(24\.4 KiB, 32\.0 bits\/weight\) in \d+\.\d s, peak \d+\.?\d* MiB\n$/,
    );
    expect(snapshot(scratch('in'))).toEqual(before);
    expect(sizes(scratch('out'))).toEqual({
      // Offsets have fewer digits, and the first is 0.
      'model.onnx': statSync(input).size - 3,
      'model.onnx.data': 2 * TABLE_BYTES,
      'tokenizer.json': 12,
    });
    expect(tensorContents(scratch('out', 'model.onnx'))).toEqual(tensorContents(input));
  });

  it.each([
    [[]],
    [['--data-name', '{model}.onnx_data', '--max-file-size', '2MB', '--align', '64KiB']],
    [['--inline-below', '0', '--align', '1']],
    [['--embed']],
  ])('of a real model computes the same, bit for bit: %j', async (args) => {
    const { status, stderr } = await repack(EXAMPLE, '-o', 'out', ...args);
    expect(status, stderr).toBe(0);
    const [input, output] = [join(EXAMPLE, 'model.onnx'), scratch('out', 'model.onnx')];
    expect(tensorContents(output)).toEqual(tensorContents(input));
    const { logits, outputs, ...differences } = await compareOutputs(input, output, [1, 2, 3, 50]);
    expect(differences).toEqual({ interfaceDifferences: [], shapeDifferences: [] });
    expect(logits?.maxMagnitude).toBeGreaterThan(1);
    expect(outputs.map(({ maxAbs }) => maxAbs)).toEqual(outputs.map(() => 0));
  });

  it('says in a dry run what it then writes', async () => {
    writeDead();
    const layouts = [[], ['--max-file-size', '13000'], ['--embed'], ['--inline-below', '20000']];
    for (const [index, layout] of layouts.entries()) {
      const args = ['in', '-o', `out${index}`, '--json', ...layout];
      const before = snapshot(scratch());
      const planned = JSON.parse((await repack(...args, '-n')).stdout) as Report;
      expect(planned).toMatchObject({ changed: true, dryRun: true, bytesWritten: 0 });
      expect(snapshot(scratch())).toEqual(before);
      const written = JSON.parse((await repack(...args)).stdout) as Report;
      const { files } = written.output;
      expect(files).toEqual(planned.output.files);
      expect(written.tensors).toEqual(planned.tensors);
      const directory = dirname(written.output.path);
      const found = files.map(({ name }) => statSync(scratch(directory, name)).size);
      expect(found).toEqual(files.map(({ byteLength }) => byteLength));
    }
    const { stdout } = await repack('in', '-n', '--max-file-size', '13000', '-v');
    expect(stdout).toMatch(/^model\.onnx +\d+ bytes/m);
    expect(stdout).toMatch(/^model\.onnx\.data_1 +12288 bytes +12\.0 KiB$/m);
    expect(stdout).toMatch(/^ +copied +fp32 +\[96, 32\] +12288 +table$/m);
  });

  it('goes through one file and back', async () => {
    const input = writeDead();
    expect((await repack('in', '-o', 'one.onnx', '--embed', '--no-assets')).status).toBe(0);
    expect((await repack('one.onnx', '-o', 'back', '-q')).stdout).toBe('back/one.onnx\n');
    expect(sizes(scratch('back'))).toMatchObject({ 'one.onnx.data': 2 * TABLE_BYTES });
    expect(tensorContents(scratch('back', 'one.onnx'))).toEqual(tensorContents(input));
  });

  it('replaces an older output only when told to, in one step', async () => {
    writeDead();
    expect((await repack('in', '-o', 'out')).status).toBe(0);
    const refused = await repack('in', '-o', 'out', '--embed');
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/^onnx-lathe: out exists and has 3 entries\n {2}\S.*\n$/);
    expect((await repack('in', '-o', 'out', '--embed', '--force')).status).toBe(0);
    expect(Object.keys(sizes(scratch('out')))).toEqual(['model.onnx', 'tokenizer.json']);
  });

  it('does not take names of a neighbour, and says so in the dry run too', async () => {
    writeDead();
    expect((await repack('in', '-o', 'shared/a.onnx', '--data-name', 'w')).status).toBe(0);
    const args = ['in', '-o', 'shared/b.onnx', '--data-name', 'w', '--no-assets'];
    const planned = await repack(...args, '-n');
    const before = sizes(scratch('shared'));
    const written = await repack(...args);
    expect([planned.status, written.status]).toEqual([0, 0]);
    expect(planned.stdout).toMatch(/^w\.1 +24576 bytes/m);
    expect(written.stderr).toBe('warning: w is taken; the data goes to w.1\n');
    expect(sizes(scratch('shared'))).toEqual({
      ...before,
      'b.onnx': expect.any(Number),
      'w.1': 2 * TABLE_BYTES,
    });
  });
});

describe('repack --in-place', () => {
  it('replaces the data, then says that there is nothing to do', async () => {
    writeDead();
    const first = await repack('in', '--in-place');
    expect(first.status, first.stderr).toBe(0);
    expect(first.stderr).toBe('model.onnx.data was removed\n');
    expect(Object.keys(sizes(scratch('in')))).toEqual([
      'model.onnx',
      'model.onnx.1.data',
      'tokenizer.json',
    ]);
    const before = snapshot(scratch('in'));
    for (const more of [[], ['-n'], ['-q']]) {
      const { status, stdout, stderr } = await repack('in', '--in-place', ...more);
      expect([status, stdout, stderr]).toEqual([1, '', 'nothing to do, nothing was written\n']);
    }
    const { status, stdout, stderr } = await repack('in', '--in-place', '--json');
    expect([status, stderr]).toEqual([1, '']);
    expect(JSON.parse(stdout)).toMatchObject({ schemaVersion: 1, changed: false, bytesWritten: 0 });
    expect(snapshot(scratch('in'))).toEqual(before);
  });

  it('drops what an edit in place left behind', async () => {
    writeDead();
    const args = ['apply', 'in', '--in-place', '--surgery', 'quantize-embedding:bits=8'];
    const edited = await cliHere(args, { cwd: scratch() });
    expect(edited.status, edited.stderr).toBe(0);
    expect(edited.stderr).toMatch(
      /^warning: \d+ bytes of the old data files are no longer used; repack --in-place drops them$/m,
    );
    const before = tensorContents(scratch('in', 'model.onnx'));
    const { status, stderr } = await repack('in', '--in-place');
    expect([status, stderr]).toEqual([
      0,
      'model.onnx.data was removed\nmodel.onnx.1.data was removed\n',
    ]);
    expect(tensorContents(scratch('in', 'model.onnx'))).toEqual(before);
    const { data } = { data: sizes(scratch('in'))['model.onnx.2.data'] ?? 0 };
    expect(data).toBeLessThan(TABLE_BYTES + TABLE_BYTES / 3);
  });

  it('keeps what another model uses', async () => {
    const input = writeDead();
    writeFileSync(scratch('in', 'other.onnx'), readFileSync(input));
    const { status, stderr } = await repack('in/model.onnx', '--in-place');
    expect([status, stderr]).toEqual([
      0,
      'warning: the old model.onnx.data stays: other.onnx uses it\n',
    ]);
    expect(tensorContents(scratch('in', 'other.onnx'))).toEqual(tensorContents(input));
  });
});

describe('errors are one line and a hint', () => {
  it.each([
    [['--align', '3'], 2, 'align is 3', 'give a power of two from 1 to 1 GiB'],
    [['--align', '2GiB'], 2, 'align is 2147483648', 'give a power of two from 1 to 1 GiB'],
    [
      ['--align', 'x'],
      2,
      "option '--align <size>' argument 'x' is invalid",
      'write a number with a unit, for example 64MiB or 2GB',
    ],
    [['--max-file-size', '0'], 2, 'max file size is 0', 'give a whole number of bytes from 1'],
    [
      ['--data-name', '../w'],
      2,
      'data name "../w" is a path',
      'give one file name, such as {model}.onnx_data',
    ],
    [
      ['--data-name', 'model.onnx'],
      2,
      'data name "model.onnx" ends in .onnx, as only models do',
      'give one file name, such as {model}.onnx_data',
    ],
    [
      ['--data-name', 'tokenizer.json'],
      2,
      'the data file tokenizer.json would replace tokenizer.json',
      'give another data name, or leave other files behind with --no-assets',
    ],
    [
      ['--embed', '--max-file-size', '1MB'],
      2,
      'embed and max file size exclude each other',
      'embed leaves nothing for data files',
    ],
    [['--in-place'], 2, '-o and --in-place exclude each other', undefined],
  ])('%j', async (args, exit, message, hint) => {
    writeDead();
    const before = snapshot(scratch());
    const { status, stdout, stderr } = await repack('in', '-o', 'out', ...args);
    expect(stderr).toBe(`onnx-lathe: ${message}\n${hint === undefined ? '' : `  ${hint}\n`}`);
    expect([status, stdout]).toEqual([exit, '']);
    expect(snapshot(scratch())).toEqual(before);
    const asJson = await repack('in', '-o', 'out', '--json', ...args);
    expect(JSON.parse(asJson.stderr)).toMatchObject({ error: { message } });
  });

  it('too many data files', async () => {
    const weights = Array.from({ length: 120 }, (_, i) => `weight w${i}: fp32[256] = random(${i})`);
    const sums = weights.map((_, i) => `x${i + 1} = Add(x${i}, w${i})`);
    writeModel(
      scratch('in'),
      ['input x0: fp32[256]', 'output x120: fp32[256]', ...weights, ...sums].join('\n'),
    );
    const { status, stderr } = await repack('in', '-o', 'out', '--max-file-size', '1KiB');
    expect([status, stderr]).toEqual([
      4,
      'onnx-lathe: files of at most 1.00 KiB would be 120, a model may have 100\n  a size of 1MiB is enough\n',
    ]);
    expect(readdirSync(scratch())).toEqual(['in']);
  });

  it('nowhere to write', async () => {
    writeDead();
    const { status, stderr } = await repack('in');
    expect([status, stderr]).toEqual([
      2,
      'onnx-lathe: no output was given\n  add -o DIR, --in-place, or -n to see the plan without writing\n',
    ]);
  });
});
