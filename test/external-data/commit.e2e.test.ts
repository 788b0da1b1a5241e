import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repositoryPath } from '../support/cli.ts';
import { commitModel } from './commit-model.ts';
import { filesBelow, versionOf, writePackage } from './package-state.ts';
import { useWorkspace } from './workspace.ts';

const workspace = useWorkspace();
let build = '';

beforeAll(() => {
  build = mkdtempSync(join(tmpdir(), 'lathe-build-'));
  writeFileSync(join(build, 'package.json'), '{ "type": "module" }');
  const options = `--ignoreConfig --noCheck --rewriteRelativeImportExtensions --rootDir . --outDir ${build}
    --module nodenext --target es2022 --lib es2023,esnext.disposable --types node`;
  const compiler = repositoryPath('node_modules/typescript/bin/tsc');
  const args = [compiler, ...options.split(/\s+/), 'test/external-data/commit.child.ts'];
  execFileSync(process.execPath, args, { cwd: repositoryPath('.') });
});
afterAll(() => rmSync(build, { recursive: true, force: true }));

/** Runs the child until it is killed before step `lastStep`; returns that step, or nothing when it finished. */
function run(output: string, way: string, model: string, lastStep: number): string | undefined {
  const child = join(build, 'test/external-data/commit.child.js');
  const args = [child, output, way, model, String(lastStep)];
  const { signal, status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
  });
  if (signal === 'SIGKILL') return stdout;
  expect([status, stderr]).toEqual([0, '']);
  return undefined;
}

function writeOld(output: string): void {
  writePackage(output, 'model.onnx', 'old', 'model.onnx.data');
  mkdirSync(join(output, 'more'));
  for (const name of ['tokenizer.json', 'more/w.data']) writeFileSync(join(output, name), 'old');
}

interface Way {
  readonly way: string;
  readonly state: 'absent' | 'empty' | 'old' | 'old, one file of it';
  /** Distinct steps, in order: the test kills before each occurrence of each. */
  readonly steps: readonly string[];
}

const PLACE_STEPS = ['sync-files', 'place-data', 'place-assets', 'place-model'];

const ways: Way[] = [
  { way: 'rename', state: 'absent', steps: ['sync-files', 'rename', 'sync-parent'] },
  { way: 'rename', state: 'empty', steps: ['sync-files', 'rename', 'sync-parent'] },
  {
    way: 'exchange',
    state: 'old',
    steps: ['sync-files', 'exchange', 'sync-parent', 'remove-staging'],
  },
  {
    way: 'place',
    state: 'old',
    steps: [...PLACE_STEPS, 'replace-assets', 'remove-old', 'sync-parent', 'remove-staging'],
  },
  {
    way: 'place',
    state: 'old, one file of it',
    steps: [...PLACE_STEPS, 'replace-assets', 'sync-parent', 'remove-staging'],
  },
];

describe.each(ways)('a process killed at any step of a commit ($way, $state)', (way) => {
  it('leaves the old model whole or the new one, and the next run completes', async () => {
    const seen: string[] = [];
    for (let lastStep = 0; ; lastStep++) {
      const parent = workspace.path(String(lastStep));
      const directory = join(parent, 'out');
      mkdirSync(parent);
      if (way.state === 'empty') mkdirSync(directory);
      if (way.state.startsWith('old')) writeOld(directory);
      const model = join(directory, 'model.onnx');
      const output = way.state === 'old, one file of it' ? model : directory;

      const before = versionOf(model);
      const step = run(output, way.way, 'model.onnx', lastStep);
      const after = versionOf(model);
      if (step === undefined) {
        expect(after).toBe('new');
        break;
      }
      const isCommitted = seen.some((name) => ['rename', 'exchange', 'place-model'].includes(name));
      expect([step, after]).toEqual([step, isCommitted ? 'new' : before]);
      if (seen.at(-1) !== step) seen.push(step);

      await commitModel(output, way.way, 'model.onnx');
      expect(versionOf(model)).toBe('new');
      expect(readdirSync(parent)).toEqual(['out']);
      const hidden = filesBelow(directory).filter((name) => name.startsWith('.'));
      expect(hidden).toEqual([]);
    }
    expect(seen).toEqual(way.steps);
  });
});
