import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cliPath, repositoryPath } from '../support/cli.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();
const MODEL = repositoryPath('examples/austen-tiny');
const CLI = dirname(cliPath());
/** Of a file's text in its file of compiled code: behind a length and the head of a function. */
const SOURCE_OFFSET = 4 + nodeModule.wrap('').indexOf('\n});');

/** Where compiled code is kept in `directory`. */
function kept(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => name.startsWith('code-'));
  return names.map((name) => join(directory, name));
}

/** A copy of the built command line, in a package of its own. */
function install(): string {
  const directory = join(scratch(), 'dist', 'cli');
  cpSync(CLI, directory, { recursive: true });
  mkdirSync(join(scratch(), 'native'));
  writeFileSync(join(scratch(), 'native', 'build.mjs'), '');
  return directory;
}

function node(args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

const run = (directory: string, ...args: string[]) => node([join(directory, 'main.js'), ...args]);

/** Changes the text that begins a line of `inspect` to one of the same length, which V8 alone does not notice. */
function shout(directory: string): { readonly name: string; readonly original: Buffer } {
  const name = readdirSync(directory).find((file) => /^inspect-.*\.js$/.test(file)) ?? '';
  const original = readFileSync(join(directory, name));
  const changed = original.toString('latin1').replace('to shrink it:', 'TO SHRINK IT:');
  expect(changed).toContain('TO SHRINK IT:');
  writeFileSync(join(directory, name), changed, 'latin1');
  return { name, original };
}

function keptHere(): void {
  it('is there, and is what the command runs', () => {
    expect(kept(CLI)).toHaveLength(1);
    const directory = install();
    const { name, original } = shout(directory);
    rmSync(kept(directory)[0] ?? '', { recursive: true });
    const keeper = repositoryPath('tools/keep-code.cjs');
    const model = join(MODEL, 'mobius-fp16');
    const args = ['--require', keeper, join(directory, 'main.js'), 'inspect', model];
    expect(node(args)).toMatchObject({ status: 0, stderr: '' });
    writeFileSync(join(directory, name), original);
    expect(run(directory, 'inspect', MODEL).stdout).toContain('to shrink it:');
    const path = join(kept(directory)[0] ?? '', `${name}.bin`);
    const code = readFileSync(path);
    original.copy(code, SOURCE_OFFSET);
    writeFileSync(path, code);
    expect(run(directory, 'inspect', MODEL).stdout).toContain('TO SHRINK IT:');
  });

  it.each([
    ['inspect', MODEL, '--json'],
    ['inspect', MODEL, '--tensors', '--compare'],
    ['check', MODEL],
    ['quantize', MODEL, '--dry-run', '--json'],
    ['evaluate', MODEL, '--tokens', join(MODEL, 'heldout.tokens.json'), '--max-windows', '1'],
    ['surgeries'],
    ['inspekt', MODEL],
  ])('gives what the files give: %s', (...args) => {
    const directory = install();
    const withCode = run(directory, ...args);
    rmSync(kept(directory)[0] ?? '', { recursive: true });
    const changing = /"(seconds|peakRssBytes|freeDiskBytes)": *[\d.]+/g;
    const still = ({ stdout, ...rest }: typeof withCode) => ({
      ...rest,
      stdout: stdout.replace(changing, ''),
    });
    expect(still(run(directory, ...args))).toEqual(still(withCode));
  });

  it('is not used for a file that was changed since', () => {
    const directory = install();
    shout(directory);
    expect(run(directory, 'inspect', MODEL).stdout).toContain('TO SHRINK IT:');
  });

  it.each(['', 'not code', '\xff\x0f', '\0\0\0\0', undefined])(
    'can be missing or damaged: %j',
    (text) => {
      const directory = install();
      const [code = ''] = kept(directory);
      for (const name of readdirSync(code)) {
        if (text === undefined) rmSync(join(code, name));
        else writeFileSync(join(code, name), text, 'latin1');
      }
      expect(run(directory, 'inspect', MODEL)).toMatchObject({ status: 0, stderr: '' });
    },
  );

  it('leaves source maps to Node', () => {
    const args = ['--enable-source-maps', cliPath(), 'inspect', join(scratch(), 'none')];
    const { stderr } = spawnSync(process.execPath, args, {
      encoding: 'utf8',
      env: { ...process.env, DEBUG: 'onnx-lathe' },
    });
    expect(stderr).toMatch(/model-path\.[jt]s:\d+/);
  });
}

function keptByNode(): void {
  it('is left to Node, whatever another version found worth keeping', () => {
    const directory = install();
    writeFileSync(join(directory, `code-${process.version}-${process.arch}-0`), 'not code');
    expect(run(directory, 'inspect', MODEL)).toMatchObject({ status: 0, stderr: '' });
  });
}

describe('compiled code', 'enableCompileCache' in nodeModule ? keptByNode : keptHere);

describe('the files of the command line', () => {
  it.each([
    ['hold ASCII alone, which is how they are read', /[^\0-\x7f]/],
    ['import nothing while they run, which kept code cannot', /^(?!\s*\*).*\bimport\(/m],
  ])('%s', (_, forbidden) => {
    const scripts = readdirSync(CLI).filter((name) => name.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(5);
    for (const name of scripts) {
      expect(readFileSync(join(CLI, name), 'utf8')).not.toMatch(forbidden);
    }
  });
});
