import { spawnSync } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli, cliPath, type RunningCli, startCli } from '../support/cli.ts';
import { writeLarge, writeTiny } from './tiny-model.ts';
import { snapshot } from './tree.ts';

/** Large enough to be at it for a while: 256 MB for the TypeScript kernels, 1 GB (sparse) for the native ones. */
const KERNELS = [
  ['off', 16_384],
  ['', 65_536],
] as const;

let root = '';

function largeModel(native: string): string {
  return `large-${native || 'auto'}`;
}

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-cli-')));
  for (const [native, rows] of KERNELS) writeLarge(join(root, largeModel(native)), rows, 2048);
  writeTiny(join(root, 'tiny'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** An older output in a directory of its own; returns that directory. */
function writeOlder(name: string): string {
  const parent = join(root, name);
  writeTiny(join(parent, 'out'));
  writeFileSync(join(parent, 'out', 'tokenizer.json'), '{}');
  return parent;
}

/** Starts a long run to `parent/out` and waits until it writes. */
async function startWriting(
  native: string,
  parent: string,
  ...args: string[]
): Promise<RunningCli> {
  const command = [
    'apply',
    largeModel(native),
    '-o',
    join(parent, 'out'),
    '--force',
    '--threads',
    '1',
  ];
  // Without the tie nothing is compared first.
  const surgeries = ['--surgery', 'quantize-embedding', '--surgery', 'quantize-matmul'];
  const run = startCli([...command, '--progress', 'json', ...surgeries, ...args], {
    cwd: root,
    env: { LATHE_NATIVE: native },
  });
  await run.stderrShows(/"phase":"writing"/);
  return run;
}

describe.each(KERNELS)('LATHE_NATIVE=%j', (native) => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends a write, exit %i; the older output stays', async (signal, exit) => {
    const parent = writeOlder(`${native}-${signal}`);
    const before = snapshot(parent);
    const run = await startWriting(native, parent);
    run.process.kill(signal);
    const result = await run.finished;
    expect([result.status, result.signal, result.stdout]).toEqual([exit, null, '']);
    const said = result.stderr.split('\n').filter((line) => !line.startsWith('{"progress"'));
    expect(said).toEqual(['onnx-lathe: interrupted; nothing was written', '']);
    expect(snapshot(parent)).toEqual(before);
  });

  it('SIGKILL leaves the older output whole, and the next run cleans up', async () => {
    const parent = writeOlder(`${native}-SIGKILL`);
    const before = snapshot(parent);
    const run = await startWriting(native, parent);
    run.process.kill('SIGKILL');
    expect((await run.finished).signal).toBe('SIGKILL');
    const left = readdirSync(parent).sort();
    expect(left).toEqual([expect.stringMatching(/^\.out\.lathe-/), 'out']);
    const names = Object.keys(before);
    const after = snapshot(parent);
    expect(names.map((name) => after[name])).toEqual(Object.values(before));

    const again = cli(['shrink', 'tiny', '-o', join(parent, 'out'), '--force', '-q'], {
      cwd: root,
    });
    expect([again.status, again.stderr]).toEqual([0, '']);
    expect(readdirSync(parent)).toEqual(['out']);
    // Without the addon nothing exchanges directories, and the old data keeps its name until the end.
    expect(readdirSync(join(parent, 'out')).sort()).toEqual([
      'model.onnx',
      expect.stringMatching(/^model\.onnx(\.1)?\.data$/),
    ]);
  });
});

it('an interrupted run says so in JSON when asked to', async () => {
  const parent = writeOlder('json');
  const run = await startWriting('off', parent, '--json');
  run.process.kill('SIGINT');
  const { status, stdout, stderr } = await run.finished;
  expect([status, stdout]).toEqual([130, '']);
  expect(JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '')).toEqual({
    error: { code: 'ERR_CANCELLED', message: 'interrupted; nothing was written' },
  });
});

it('SIGINT while tables are compared stops as well', async () => {
  const out = join(root, 'compared');
  const run = startCli(['shrink', largeModel('off'), '-o', out, '--progress', 'json'], {
    cwd: root,
    env: { LATHE_NATIVE: 'off' },
  });
  await run.stderrShows(/"phase":"comparing tables"/);
  run.process.kill('SIGINT');
  const { status, stderr } = await run.finished;
  expect(status).toBe(130);
  expect(stderr).toMatch(/onnx-lathe: interrupted; nothing was written\n$/);
  expect(readdirSync(root)).not.toContain('compared');
});

describe('check --digest', () => {
  async function startReading(...args: string[]): Promise<RunningCli> {
    const command = ['check', largeModel(''), '--digest', 'digests', '--progress', 'json'];
    const run = startCli([...command, ...args], { cwd: root });
    await run.stderrShows(/"phase":"reading"/);
    return run;
  }

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends it, exit %i; no digests are left', async (signal, exit) => {
    const before = readdirSync(root);
    const run = await startReading();
    run.process.kill(signal);
    const result = await run.finished;
    expect([result.status, result.signal, result.stdout]).toEqual([exit, null, '']);
    expect(result.stderr).toMatch(/^onnx-lathe: interrupted; nothing was written\n$/m);
    expect(readdirSync(root)).toEqual(before);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s while the graph is read ends it at once, which a shell sees as %i',
    (signal, exit) => {
      const before = readdirSync(root);
      // No event has its turn until the graph is read: the signal comes when the model has been opened for that.
      const hook = `import fs, { openSync } from 'node:fs';
      fs.openSync = (path, ...rest) => {
        const fd = openSync(path, ...rest);
        if (String(path).endsWith('.onnx')) process.kill(process.pid, '${signal}');
        return fd;
      };`;
      const env = {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`,
        COMMAND: `"${process.execPath}" "${cliPath()}" check tiny --digest digests`,
      };
      const {
        status,
        signal: ended,
        stdout,
      } = cli(['check', 'tiny', '--digest', 'digests'], { cwd: root, env });
      expect([status, ended, stdout]).toEqual([null, signal, '']);
      const shell = spawnSync('sh', ['-c', 'eval "$COMMAND"; exit $?'], {
        cwd: root,
        env: { ...process.env, ...env },
      });
      expect(shell.status).toBe(exit);
      expect(readdirSync(root)).toEqual(before);
    },
  );

  it('says so in JSON when asked to, and keeps older digests', async () => {
    const digests = join(root, 'digests');
    writeFileSync(digests, 'older');
    const run = await startReading('--force', '--json');
    run.process.kill('SIGINT');
    const { status, stdout, stderr } = await run.finished;
    expect([status, stdout]).toEqual([130, '']);
    expect(JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      error: { code: 'ERR_CANCELLED' },
    });
    expect(readFileSync(digests, 'utf8')).toBe('older');
    rmSync(digests);
  });
});
