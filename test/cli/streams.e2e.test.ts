import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cli, cliPath, startCli } from '../support/cli.ts';
import { writeTiny } from './tiny-model.ts';

/** Carriage return, then erase in line. */
const CLEAR_LINE = '\r\u001b[2K';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lathe-cli-'));
  writeTiny(join(root, 'in'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('a reader that went away', () => {
  it.each([['surgeries'], ['--help'], ['inspect', 'in', '--json'], ['shrink', 'in', '-o', 'out']])(
    'of stdout is no error: %s',
    async (...args) => {
      const run = startCli(args, { cwd: root });
      run.process.stdout?.destroy();
      const { status, signal, stderr } = await run.finished;
      expect([status, signal]).toEqual([0, null]);
      expect(stderr).not.toMatch(/EPIPE|at .*:\d+/);
      expect(existsSync(join(root, 'out', 'model.onnx'))).toBe(args[0] === 'shrink');
    },
  );

  it('of stderr does not stop the work', async () => {
    const args = ['shrink', 'in', '-o', 'out', '--progress', 'json', '-v'];
    const run = startCli(args, { cwd: root });
    run.process.stderr?.destroy();
    const { status, signal, stdout } = await run.finished;
    expect([status, signal]).toEqual([0, null]);
    expect(stdout).toContain(' → out/model.onnx (');
  });
});

it('reports a stdout that cannot be written to', () => {
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = spawnSync(process.execPath, [cliPath(), 'surgeries'], {
    encoding: 'utf8',
    stdio: ['ignore', full, 'pipe'],
  });
  expect(stderr).toBe('onnx-lathe: writing to stdout: no space left on the device\n');
  expect(status).toBe(5);
});

describe('progress', () => {
  const run = (...args: string[]) =>
    cli(['shrink', 'in', '-o', 'out', '-f', ...args], { cwd: root });

  it('is silent where stderr is no terminal', () => {
    expect(run().stderr).toBe(run('--progress', 'none').stderr);
    expect(run('-q').stderr).toBe('');
  });

  it('comes as lines of JSON, ending with each phase complete', () => {
    const { status, stderr, stdout } = run('-q', '--progress', 'json');
    expect([status, stdout]).toEqual([0, 'out/model.onnx\n']);
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { progress: Record<string, unknown> }).progress);
    const complete = events.filter(({ done, total }) => done === total);
    expect(complete.map(({ phase }) => phase)).toEqual(['comparing tables', 'writing']);
  });

  it('comes as plain lines without cursor movements', () => {
    const { stderr } = run('-q', '--progress', 'plain');
    expect(stderr).toMatch(/^comparing tables: 100 % \(24\.0 KiB of 24\.0 KiB.*\)$/m);
    expect(stderr).toMatch(/^writing: 100 % /m);
    expect(stderr).not.toMatch(/[^\P{C}\n]/u);
  });
});

it('has no colours to switch off', () => {
  const base = { FORCE_COLOR: undefined, NO_COLOR: undefined };
  for (const args of [['--help'], ['inspect', 'in'], ['shrink', 'in', '-n'], ['shrnk']]) {
    const plain = cli(args, { cwd: root, env: base });
    for (const env of [{ NO_COLOR: '1' }, { FORCE_COLOR: '3' }, { TERM: 'dumb' }]) {
      expect(cli(args, { cwd: root, env: { ...base, ...env } })).toEqual(plain);
    }
    expect(plain.stdout + plain.stderr).not.toContain('\u001b');
  }
});

it('draws progress on a terminal and clears it away', () => {
  const command = `'${process.execPath}' '${cliPath()}' shrink in -o out`;
  const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
    encoding: 'utf8',
    cwd: root,
    env: { ...process.env, TERM: 'xterm' },
  });
  expect(status).toBe(0);
  expect(stdout).toContain(`${CLEAR_LINE}writing: 100 %`);
  const last = stdout.slice(stdout.lastIndexOf(CLEAR_LINE) + CLEAR_LINE.length);
  expect(last).toMatch(/^quantize-embedding: .* → out\/model\.onnx \(.*\r\n$/s);
  expect(last).not.toContain('\u001b');
});
