import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { LatheError } from '../../src/errors.ts';
import { modelRoots, openLocation } from '../../src/external-data/location.ts';
import { type OpenBeneath, walkBeneath } from '../../src/external-data/open-beneath.ts';
import { OpenedFiles } from '../../src/external-data/open-files.ts';
import { loadNative } from '../../src/native.ts';
import { useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

const native = loadNative();
const everyWay = new Map<string, readonly OpenBeneath[]>([['walk', [walkBeneath]]]);
if (native !== undefined) everyWay.set('openat2', [native.openBeneath]);

/** Swaps two entries of the current directory, over and over, until it is ended. */
const SWAP = `
  const { renameSync } = require('node:fs');
  const [a, b] = process.argv.slice(1);
  for (process.stdout.write('swapping');;) {
    renameSync(a, a + '.away'); renameSync(b, a); renameSync(a, b); renameSync(a + '.away', a);
  }`;

let swapper: ChildProcess | undefined;
afterEach(() => swapper?.kill('SIGKILL'));

async function keepSwapping(a: string, b: string): Promise<void> {
  swapper = spawn(process.execPath, ['-e', SWAP, a, b], { cwd: workspace.path('m') });
  if (swapper.stdout) await once(swapper.stdout, 'data');
}

/**
 * Runs `attempt` often, and until each of `wanted` was its result; returns all results there were. What comparing
 * by name lets through shows up after some hundreds or thousands of runs.
 */
function resultsUntil(wanted: readonly string[], attempt: () => string): Set<string> {
  const results = new Set<string>();
  const deadline = Date.now() + 30_000;
  for (let runs = 0; runs < 3000 || !wanted.every((result) => results.has(result)); runs++) {
    results.add(attempt());
    if (Date.now() > deadline) break;
  }
  return results;
}

function codeOf(error: unknown): string {
  if (error instanceof LatheError) return error.code;
  throw error;
}

describe.each([...everyWay])('a data file opened while somebody swaps names (%s)', (_, ways) => {
  function openAgain(location: string): string {
    const roots = modelRoots(workspace.path('m/model.onnx'));
    try {
      const { fd } = openLocation(roots, location, 'w', ways);
      try {
        return readFileSync(fd, 'utf8');
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      return codeOf(error);
    }
  }

  it.each([
    ['the file for a link out', 'w.data', ['w.data', 'link']],
    ['its directory for a link out', 'sub/w.data', ['sub', 'link']],
  ] as const)('is never one outside: %s', async (_, location, [entry, link]) => {
    workspace.write('m/model.onnx');
    workspace.write(`m/${location}`, 'inside');
    workspace.write('outside/w.data', 'outside');
    symlinkSync(entry === 'sub' ? '../outside' : '../outside/w.data', workspace.path('m', link));
    await keepSwapping(entry, link);
    const before = readdirSync('/proc/self/fd').length;
    const results = resultsUntil(['inside', 'ERR_PATH_ESCAPE'], () => openAgain(location));
    results.delete('ERR_NOT_FOUND');
    expect([...results].sort()).toEqual(['ERR_PATH_ESCAPE', 'inside']);
    expect(readdirSync('/proc/self/fd')).toHaveLength(before);
  });
});

describe('a model opened while somebody swaps it for a link', () => {
  it('never finds its data beside what the link leads to', async () => {
    workspace.write('m/model.onnx', 'theirs');
    workspace.write('victim/other.onnx', 'ours');
    symlinkSync('../victim/other.onnx', workspace.path('m/link'));
    await keepSwapping('model.onnx', 'link');
    const results = resultsUntil(['theirs in m', 'ours in victim'], () => {
      try {
        using files = OpenedFiles.open(workspace.path('m/model.onnx'));
        const content = readFileSync(files.model.fd, 'utf8');
        const directory = files.roots.real.at(-1)?.path.replace(/^.*\//, '');
        return `${content} in ${directory}`;
      } catch (error) {
        return codeOf(error);
      }
    });
    results.delete('ERR_NOT_FOUND');
    results.delete('ERR_CHANGED');
    expect([...results].sort()).toEqual(['ours in victim', 'theirs in m']);
  });
});

describe.each([...everyWay])('a directory that may be searched but not listed (%s)', (_, ways) => {
  const nobody = 65534;

  afterEach(() => {
    if (process.getuid?.() === 0) process.seteuid?.(0);
    chmodSync(workspace.path('m'), 0o755);
    chmodSync(workspace.path('m/sub'), 0o755);
  });

  it('gives its files', () => {
    workspace.write('m/model.onnx');
    workspace.write('m/sub/w.data', 'content');
    mkdirSync(workspace.path('m/other'));
    chmodSync(workspace.path('.'), 0o711);
    chmodSync(workspace.path('m/sub'), 0o711);
    chmodSync(workspace.path('m'), 0o111);
    // Nothing is forbidden to root.
    if (process.getuid?.() === 0) process.seteuid?.(nobody);
    expect(() => readdirSync(workspace.path('m'))).toThrow('EACCES');
    const roots = modelRoots(workspace.path('m/model.onnx'));
    const { fd } = openLocation(roots, 'sub/w.data', 'w', ways);
    expect(readFileSync(fd, 'utf8')).toBe('content');
    closeSync(fd);
  });
});
