/** A container of 256 MB, in which the page cache counts as well. */

import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repositoryPath } from '../support/cli.ts';
import { makeMemoryGroup } from '../support/memory-group.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();
const LIMIT_BYTES = 256e6;

it('shrinks a model of 1 GB where there are 256 MB of memory, to the same bytes', ({ skip }) => {
  using group = makeMemoryGroup(LIMIT_BYTES);
  if (group === undefined) return skip('this process may not make memory control groups');
  const maker = repositoryPath('tools/make-model.mjs');
  execFileSync(process.execPath, [maker, '--size', '1GB', '--untied', '-o', scratch('m')]);
  const shrink = (output: string) => [
    ...[process.execPath, repositoryPath('dist/cli/main.js'), 'shrink', scratch('m')],
    ...['-o', output, '--recipe', 'q4-small', '--quiet'],
  ];
  const [program, args] = group.within(shrink(scratch('limited')));
  const { status, signal, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });

  const [node = '', ...rest] = shrink(scratch('free'));
  execFileSync(node, rest);
  const names = readdirSync(scratch('free'));
  expect(readdirSync(scratch('limited'))).toEqual(names);
  for (const name of names) {
    const [limited, free] = ['limited', 'free'].map((of) => readFileSync(join(scratch(of), name)));
    expect(limited?.equals(free ?? Buffer.alloc(0)), name).toBe(true);
  }
}, 240_000);
