import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import nodeModule from 'node:module';
import { join } from 'node:path';
import { deserialize } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { cli, cliPath, repositoryPath } from '../support/cli.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();
const MODEL = repositoryPath('examples/austen-tiny');

function run(args: readonly string[], env: Record<string, string> = {}) {
  return cli(args, { env: { TMPDIR: scratch(), NODE_DISABLE_COMPILE_CACHE: undefined, ...env } });
}

/** Paths of all that is in the temporary directory, from there. */
function files(): string[] {
  return readdirSync(scratch(), { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(scratch(), path)).isFile())
    .sort();
}

/** The one file that holds compiled code. */
function kept(): string {
  expect(files()).toHaveLength(1);
  return join(scratch(), files()[0] ?? '');
}

const keepsItself = 'enableCompileCache' in nodeModule;

function keptByNode(): void {
  it('is kept by Node alone, where it does so', () => {
    expect(run(['inspect', MODEL]).status).toBe(0);
    expect(files().filter((path) => !path.startsWith('node-compile-cache'))).toEqual([]);
  });
}

function keptHere(): void {
  it('is kept for the user alone, and serves the next start', () => {
    const first = run(['inspect', MODEL, '--json']);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    const file = kept();
    expect(file).toMatch(/\/dist\/cli\/inspect\.code$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(scratch(), files()[0]?.split('/')[0] ?? '')).mode & 0o777).toBe(0o700);
    utimesSync(file, 1, 1);
    expect(run(['inspect', MODEL, '--json'])).toEqual(first);
    // V8 took all of it: otherwise the file would be new.
    expect(statSync(file).mtimeMs).toBe(1000);
  });

  it('grows with what other uses of the command need', () => {
    run(['inspect', MODEL]);
    const names = (path: string) => Object.keys(deserialize(readFileSync(path)));
    const before = names(kept());
    expect(before.length).toBeGreaterThan(2);
    run(['inspect', MODEL, '--compare', '--tensors']);
    expect(names(kept())).toEqual(expect.arrayContaining(before));
    expect(names(kept()).length).toBeGreaterThan(before.length);
  });

  it.each(['', 'not code', '\xff\x0f'])('is made anew from %j', (text) => {
    const first = run(['inspect', MODEL]);
    const { size } = statSync(kept());
    writeFileSync(kept(), text, 'latin1');
    expect(run(['inspect', MODEL])).toEqual(first);
    expect(statSync(kept()).size).toBeGreaterThan(size / 2);
  });

  it('is left alone where others could write', () => {
    run(['inspect', MODEL]);
    const [directory = ''] = readdirSync(scratch());
    utimesSync(kept(), 1, 1);
    writeFileSync(kept(), 'not code');
    chmodSync(join(scratch(), directory), 0o777);
    expect(run(['inspect', MODEL]).status).toBe(0);
    expect(statSync(kept()).size).toBe('not code'.length);
  });

  it('is not kept where there is no place for it, or nobody wants it', () => {
    writeFileSync(join(scratch(), 'file'), '');
    const nowhere = { TMPDIR: join(scratch(), 'file', 'none') };
    expect(run(['inspect', MODEL], nowhere)).toMatchObject({ status: 0, stderr: '' });
    mkdirSync(join(scratch(), 'own'));
    const unwanted = { TMPDIR: join(scratch(), 'own'), NODE_DISABLE_COMPILE_CACHE: '1' };
    expect(run(['inspect', MODEL], unwanted).status).toBe(0);
    expect(run(['inspekt', MODEL]).status).toBe(2);
    expect(run(['--version']).status).toBe(0);
    expect(files()).toEqual(['file']);
  });
}

describe('compiled code', keepsItself ? keptByNode : keptHere);

describe('the files of the command line', () => {
  it.each([
    ['hold ASCII alone, which is how they are read', /[^\0-\x7f]/],
    ['import nothing while they run, which kept code cannot', /^(?!\s*\*).*\bimport\(/m],
  ])('%s', (_, forbidden) => {
    const directory = join(cliPath(), '..');
    const scripts = readdirSync(directory).filter((name) => name.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(5);
    for (const name of scripts) {
      expect(readFileSync(join(directory, name), 'utf8')).not.toMatch(forbidden);
    }
  });
});
