import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cliPath } from '../support/cli.ts';
import { writeTiny } from './tiny-model.ts';
import { snapshot } from './tree.ts';

let root = '';
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-cli-')));
  mkdirSync(join(root, 'disk'));
  writeTiny(join(root, 'in'));
  writeFileSync(join(root, 'in', 'tokenizer.json'), '{}');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Outcome {
  readonly status: number;
  readonly stderr: string;
  /** Every path below `disk` after the run. */
  readonly found: readonly string[];
}

/**
 * Runs `shrink in -o disk/out ARGS` where `disk` is a tmpfs of its own with the given mount options. The mount is
 * made in a private namespace (as root, or as a user who may have user namespaces) and is gone afterwards.
 */
function runOnDisk(options: string, before: string, args: string): Outcome {
  const script = `
    set -e
    mount -t tmpfs -o ${options} none disk
    ${before}
    set +e
    "$0" "$1" shrink in -o disk/out ${args}
    echo "exit $?"
    cd disk && find . -mindepth 1 | sort`;
  const isRoot = process.getuid?.() === 0;
  const unshare = [isRoot ? '-m' : '-rm', 'sh', '-c', script, process.execPath, cliPath()];
  const { stdout, stderr } = spawnSync('unshare', unshare, { encoding: 'utf8', cwd: root });
  const lines = stdout.trimEnd().split('\n');
  const exit = lines.findIndex((line) => /^exit \d+$/.test(line));
  if (exit < 0) throw new Error(`the disk could not be set up: ${stderr}`);
  return {
    status: Number(lines[exit]?.slice('exit '.length)),
    stderr,
    found: lines.slice(exit + 1),
  };
}

const OLDER =
  'mkdir disk/out && cp in/model.onnx disk/out/model.onnx && echo mine > disk/out/notes';
const OLDER_FILES = ['./out', './out/model.onnx', './out/notes'];

it('runs on a disk with room', () => {
  const { status, found } = runOnDisk('size=1m', '', '');
  expect([status, found]).toEqual([
    0,
    ['./out', './out/model.onnx', './out/model.onnx.data', './out/tokenizer.json'],
  ]);
});

it('a read-only disk: says so, leaves nothing', () => {
  const before = snapshot(root);
  const { status, stderr, found } = runOnDisk('size=1m', 'mount -o remount,ro disk', '');
  expect(stderr).toBe('onnx-lathe: writing to disk/out: read-only file system\n');
  expect([status, found]).toEqual([5, []]);
  expect(snapshot(root)).toEqual(before);
});

it('a read-only disk with an older output: keeps it', () => {
  const ready = `${OLDER}; mount -o remount,ro disk`;
  const { status, stderr, found } = runOnDisk('size=1m', ready, '--force');
  expect(stderr).toMatch(/^onnx-lathe: writing to disk\/out: read-only file system\n$/);
  expect([status, found]).toEqual([5, OLDER_FILES]);
});

it('a disk too small: says what is needed and what is free, leaves nothing', () => {
  const { status, stderr, found } = runOnDisk('size=4k', '', '');
  expect(stderr).toMatch(
    /^onnx-lathe: \S*disk\/\S+: the output needs [\d.]+ KiB \(\d+ bytes\), [\d.]+ (Ki)?B \(\d+ bytes\) are free\n {2}free some space or write to another disk\n$/,
  );
  expect([status, found]).toEqual([5, []]);
});

it('a disk too small for a second model: keeps the older output', () => {
  const fill = 'head -c 60000 /dev/zero > disk/out/notes';
  const { status, stderr, found } = runOnDisk('size=68k', `${OLDER}; ${fill}`, '--force');
  expect(stderr).toMatch(/^onnx-lathe: .*the output needs .* are free\n/);
  expect([status, found]).toEqual([5, OLDER_FILES]);
});

// The disk itself is the first file; then come staging directory, model, data and tokenizer.
it.each([
  [1, 'writing to disk/out'],
  [2, 'creating \\S+/model.onnx'],
  [3, 'creating \\S+/model.onnx.data'],
  [4, 'copying tokenizer.json'],
])('a disk that holds %i files: leaves nothing', (inodes, doing) => {
  const { status, stderr, found } = runOnDisk(`size=1m,nr_inodes=${inodes}`, '', '');
  expect(stderr).toMatch(new RegExp(`^onnx-lathe: ${doing}: no space left on the device\\n$`));
  expect([status, found]).toEqual([5, []]);
});

it('a disk that runs out of files with an older output: keeps it', () => {
  // Beside the older output there is room for all but the tokenizer.
  const { status, stderr, found } = runOnDisk('size=1m,nr_inodes=7', OLDER, '--force');
  expect(stderr).toBe('onnx-lathe: copying tokenizer.json: no space left on the device\n');
  expect([status, found]).toEqual([5, OLDER_FILES]);
});
