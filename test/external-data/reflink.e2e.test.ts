import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { nativeStatus } from '../../src/native.ts';
import { cli, cliPath, repositoryPath } from '../support/cli.ts';
import { writeModel } from '../support/model-builder.ts';
import { scatter } from '../support/scattered-model.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const MIB = 2 ** 20;
const BLOCK = 4096;

const MODEL = `
input x: fp32[1, 1024]
output y: fp32[1, 1024]
weight n: fp32[1000] = random(1)
weight A: fp32[1024, 2048] = fill(0.25)
weight B: fp32[2048, 2048] = fill(-0.5)
weight C: fp32[2048, 1024] = fill(0.125)
weight m: fp32[1000] = random(2)
a = MatMul(x, A)
b = MatMul(a, B)
y = MatMul(b, C)
`;
/** A and C have 8 MiB, B has 16: two copies do not fit on the disk of 43 MiB, one does. */
const SIZES = { n: 4000, A: 8 * MIB, B: 16 * MIB, C: 8 * MIB, m: 4000 };

/** Writes the model with `dead` bytes before each tensor of that name; padding and dead bytes are not zero. */
function writeInput(dead: Partial<Record<string, number>> = {}): void {
  const path = writeModel(scratch('in'), MODEL);
  const offsets: Record<string, number> = {};
  let end = 0;
  for (const [name, byteLength] of Object.entries(SIZES)) {
    const alignment = byteLength >= MIB ? BLOCK : 64;
    offsets[name] = Math.ceil(end / alignment) * alignment + (dead[name] ?? 0);
    end = offsets[name] + byteLength;
  }
  scatter(path, (name) => ['model.onnx.data', offsets[name] ?? 0]);
}

interface Outcome {
  readonly status: number;
  readonly stderr: string;
  readonly report: { readonly sharedBytes: number; readonly bytesWritten: number };
}

/**
 * Runs `repack` on a copy of the input on a btrfs of its own, then `after`, with the disk as working directory. The
 * mount is made in a private namespace and is gone afterwards.
 */
function repackOnBtrfs(args: string, after: string): Outcome {
  const image = readFileSync(repositoryPath('test/models/btrfs-48-mib.img.br'));
  writeFileSync(scratch('disk.img'), brotliDecompressSync(image));
  mkdirSync(scratch('disk'));
  const script = `
    set -e
    mount -t btrfs -o loop disk.img disk
    cp -r in disk/in
    cd disk
    sync
    set +e
    "$0" "$1" repack in ${args} --json > ../report.json
    echo "exit $?"
    ${after}`;
  const { stdout, stderr } = spawnSync(
    'unshare',
    ['-m', 'sh', '-c', script, process.execPath, cliPath()],
    { encoding: 'utf8', cwd: scratch() },
  );
  const exit = /^exit (\d+)$/m.exec(stdout);
  if (exit === null) throw new Error(`the disk could not be set up: ${stderr}`);
  const text = readFileSync(scratch('report.json'), 'utf8');
  return { status: Number(exit[1]), stderr, report: text === '' ? {} : JSON.parse(text) };
}

/** The same repack as copies on this disk. */
function repackHere(...args: string[]) {
  const run = cli(['repack', scratch('in'), '-o', scratch('here'), '--json', ...args]);
  expect(run.status, run.stderr).toBe(0);
  return JSON.parse(run.stdout) as Outcome['report'];
}

/** Expects that `name` on the disk, copied back by the run, is what the copies gave. */
function expectSameBytes(name: string): void {
  expect(readFileSync(scratch('back', name)).equals(readFileSync(scratch('here', name)))).toBe(
    true,
  );
}

const KEEP = 'mkdir ../back && cp out/* ../back';

// Block sharing needs the addon; without it everything is copied, and two copies do not fit.
const isShared = nativeStatus().loaded;

it('shares the blocks of data that stays where it is; padding is zeros all the same', () => {
  writeInput();
  const { status, stderr, report } = repackOnBtrfs('-o out', KEEP);
  if (!isShared) {
    expect(status).toBe(5);
    expect(stderr).toMatch(/ERR_NO_SPACE/);
    return;
  }
  expect(status, stderr).toBe(0);
  const here = repackHere();
  expectSameBytes('model.onnx');
  expectSameBytes('model.onnx.data');
  const data = readFileSync(scratch('back', 'model.onnx.data'));
  expect(data.subarray(4000, BLOCK).every((byte) => byte === 0)).toBe(true);
  expect(here.sharedBytes).toBe(0);
  expect(report.sharedBytes).toBe(data.byteLength);
  expect(report.bytesWritten + data.byteLength).toBeLessThan(here.bytesWritten + BLOCK);
});

it('shares what moves by whole blocks, copies the rest', () => {
  // B and C move by two blocks, m by two blocks and 64 bytes.
  writeInput({ B: 2 * BLOCK, m: 64 });
  const { status, stderr, report } = repackOnBtrfs('-o out', KEEP);
  if (!isShared) {
    expect(status).toBe(5);
    return;
  }
  expect(status, stderr).toBe(0);
  repackHere();
  expectSameBytes('model.onnx');
  expectSameBytes('model.onnx.data');
  expect(report.sharedBytes).toBe(BLOCK + 32 * MIB);
});

it('lays a model out anew in place on a disk without room for a second copy', () => {
  writeInput({ A: BLOCK });
  const after = 'ls in > ../names && mkdir ../back && cp in/* ../back';
  const { status, stderr } = repackOnBtrfs('--in-place', after);
  if (!isShared) {
    expect(status).toBe(5);
    return;
  }
  expect(status, stderr).toBe(0);
  expect(readFileSync(scratch('names'), 'utf8')).toBe('model.onnx\nmodel.onnx.1.data\n');
  repackHere();
  const [back, here] = [scratch('back', 'model.onnx.1.data'), scratch('here', 'model.onnx.data')];
  expect(readFileSync(back).equals(readFileSync(here))).toBe(true);
});
