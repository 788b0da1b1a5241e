import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { brokenModel, identity, info, node, weight } from '../report/broken/case.ts';
import { cli, cliHere, repositoryPath } from '../support/cli.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';
import { setExternal, writeTiny } from './tiny-model.ts';

const scratch = useScratchDirectory();

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');

/** Runs `check` on a model and returns its exit code and what it printed. */
async function check(...args: string[]) {
  const { status, stdout, stderr } = await cliHere(['check', ...args], { cwd: scratch() });
  return { status, stdout, stderr, last: stdout.trimEnd().split('\n').at(-1) };
}

function write(name: string, model: Uint8Array): string {
  writeFileSync(scratch(name), model);
  return name;
}

it('exits 0 where nothing is wrong, and says what was looked at', async () => {
  const { status, stdout, stderr } = cli(['check', EXAMPLE]);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toBe(
    'notes:\n  external-unused  model.onnx.data  60928 of 8126464 bytes belong to no tensor\n' +
      'no findings in 78 nodes, 41 tensors, 2 files\n',
  );
});

it.each<[string, (directory: string) => unknown, RegExp, string]>([
  [
    'cut data',
    (directory) => truncateSync(`${writeTiny(directory)}.data`, 24_000),
    /external-bounds +tensor weight +.*model\.onnx\.data: ends at 24576, file has 24000 bytes/,
    '1 error in 2 nodes, 2 tensors, 2 files',
  ],
  [
    'no data',
    (directory) => rmSync(`${writeTiny(directory)}.data`),
    /external-missing +tensor table +external data file "model\.onnx\.data" is not in .+ \(and 1 more\)/,
    '1 error in 2 nodes, 2 tensors, 1 file',
  ],
  [
    'data outside',
    (directory) =>
      writeTiny(directory, ({ graph }) => setExternal(graph.initializer?.[0], 'location', '../w')),
    /external-path +tensor table +external data location "\.\.\/w" leads outside/,
    '1 error in 2 nodes, 2 tensors, 2 files',
  ],
  [
    'overlapping data',
    (directory) =>
      writeTiny(directory, ({ graph }) => setExternal(graph.initializer?.[1], 'offset', '100')),
    /^warnings:\n {2}external-overlap +tensor weight, model\.onnx\.data +shares bytes 100 to 12288/,
    '1 warning in 2 nodes, 2 tensors, 2 files',
  ],
])('exits 1 for %s', async (_, make, message, last) => {
  mkdirSync(scratch('m'));
  make(scratch('m'));
  const result = await check('m');
  expect(result.stdout).toMatch(message);
  expect(result).toMatchObject({ status: 1, stderr: '', last });
});

it('exits 1 for a graph that is wrong, and names what is', async () => {
  const model = brokenModel((graph) => {
    graph.node.reverse();
    graph.node.push(node('Add', 'knot', ['x', 'k'], ['k']));
    graph.node.push(identity('nowhere', 'z'));
    graph.initializer.push(weight('v', { dims: [3] }));
  });
  const { status, stdout, last } = await check(write('model.onnx', model));
  expect([status, last]).toEqual([1, '3 errors, 1 warning in 4 nodes, 2 tensors, 1 file']);
  expect(stdout.split('\n').map((line) => line.replace(/ {2,}/g, ' '))).toEqual([
    'errors:',
    ' name-undefined node to_z reads "nowhere", which nothing defines',
    ' node-cycle node knot reads its own output',
    ' tensor-bytes tensor v shape [3] needs 12 bytes, the file holds 8',
    'warnings:',
    ' node-order node relu reads "h" before node "add" defines it',
    '3 errors, 1 warning in 4 nodes, 2 tensors, 1 file',
    '',
  ]);
});

it('says the same as JSON', async () => {
  const model = brokenModel(({ input }) => {
    input[0] = info('x', 0);
  });
  const { status, stdout, stderr } = await check(write('model.onnx', model), '--json');
  expect([status, stderr]).toEqual([1, '']);
  expect(JSON.parse(stdout)).toEqual({
    schemaVersion: 1,
    path: 'model.onnx',
    findings: [
      {
        severity: 'error',
        code: 'graph-type',
        where: { value: 'x' },
        message: 'the input has a type without element type',
        count: 1,
      },
    ],
    counts: { errors: 1, warnings: 0, notes: 0, notListed: 0 },
    checked: {
      graphs: 1,
      functions: 0,
      nodes: 2,
      tensors: 1,
      aliases: 0,
      byteLength: 0,
      files: 1,
    },
  });
});

it.each<[string, string | Uint8Array, RegExp]>([
  ['text', 'This is not a model.\n', /^onnx-lathe: model\.onnx: .+ at byte \d+/],
  ['nothing', '', /^onnx-lathe: model\.onnx: the file is empty/],
  [
    'half a model',
    brokenModel(() => undefined).subarray(0, 50),
    /^onnx-lathe: model\.onnx: a field/,
  ],
  [
    'a model without a graph',
    Uint8Array.of(8, 10),
    /^onnx-lathe: model\.onnx: the model has no graph/,
  ],
])('exits 3 for %s', async (_, content, message) => {
  writeFileSync(scratch('model.onnx'), content);
  const { status, stdout, stderr } = await check('model.onnx');
  expect([status, stdout]).toEqual([3, '']);
  expect(stderr).toMatch(message);
});

it('exits 2 for a directory without a model, and for --force alone', async () => {
  expect((await check('.')).status).toBe(2);
  expect(await check(EXAMPLE, '--force')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('--force has no meaning without --digest'),
  });
});

it('writes digests, compares with them, and exits 1 when a byte differs', async () => {
  const path = writeTiny(scratch('m'));
  expect(await check('m', '--digest', 'm.digests')).toMatchObject({
    status: 0,
    stderr: '',
    stdout: expect.stringMatching(/^m\.digests has the digests of 2 tensors \(24\.\d KiB read\)\n/),
    last: 'no findings in 2 nodes, 2 tensors, 2 files',
  });
  expect(await check('m', '--digest', 'm.digests')).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^compared the digests of 2 tensors .+ with m\.digests\n/),
  });
  const data = readFileSync(`${path}.data`);
  data[0] = 1;
  writeFileSync(`${path}.data`, data);
  expect(await check('m', '--digest', 'm.digests')).toMatchObject({
    status: 1,
    stdout: expect.stringMatching(
      /^errors:\n {2}digest-changed {2}tensor table {2}has the digest /,
    ),
    last: '1 error in 2 nodes, 2 tensors, 2 files',
  });
  expect((await check('m', '--digest', 'm.digests', '--force')).status).toBe(0);
  expect((await check('m', '--digest', 'm.digests')).status).toBe(0);
});

it('exits 1 and writes no digests where bytes are missing', async () => {
  truncateSync(`${writeTiny(scratch('m'))}.data`, 100);
  const { status, stderr } = await check('m', '--digest', 'm.digests');
  expect([status, stderr]).toEqual([1, 'm.digests was not written: not all tensors can be read\n']);
  expect(() => readFileSync(scratch('m.digests'))).toThrow('ENOENT');
});

it('exits 3 for a file that is no manifest, and 5 where none can be written', async () => {
  writeTiny(scratch('m'));
  writeFileSync(scratch('notes.txt'), 'mine\n');
  expect(await check('m', '--digest', 'notes.txt')).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('notes.txt: line 1 is not one of a digest manifest\n'),
  });
  expect((await check('m', '--digest', 'none/m.digests')).status).toBe(5);
});

it('shows progress when asked', async () => {
  const { stderr } = await check(EXAMPLE, '--digest', 'digests', '--progress', 'json');
  const shown = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).progress);
  expect(shown.at(-1)).toMatchObject({ phase: 'reading', done: shown.at(-1).total });
});

it('shows twenty of a kind, and no control characters', async () => {
  const model = brokenModel(({ node: nodes }) => {
    for (let index = 0; index < 30; index++) nodes.push(identity(`\u001b[2J${index}`, `z${index}`));
  });
  const { stdout, last } = await check(write('model.onnx', model));
  expect(stdout.match(/name-undefined/g)).toHaveLength(21);
  expect(stdout).toContain('and 10 more; --json lists them');
  expect(stdout).not.toContain('\u001b');
  expect(last).toBe('30 errors in 32 nodes, 1 tensor, 1 file');
  const report = JSON.parse((await check('model.onnx', '--json')).stdout);
  expect(report.findings).toHaveLength(30);
});
