/** A Python of our own with exact versions of the packages that a comparison needs. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/**
 * The interpreter of an environment with the packages of a requirements file, or the reason there is none. What the
 * packages depend on is installed too, unless the file lists it all (requirements-olive.txt).
 * @param {'requirements.txt' | 'requirements-olive.txt' | 'requirements-heldout.txt'} [name]
 * @returns {{ readonly python: string } | { readonly reason: string }}
 */
export function pythonEnvironment(name = 'requirements.txt') {
  const requirements = join(here, name);
  const dependencies = name === 'requirements-olive.txt' ? ['--no-deps'] : [];
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const directory = join(cache, 'onnx-lathe', `peers-${digest}`);
  const python = join(directory, 'bin', 'python');
  if (existsSync(join(directory, 'complete'))) return { python };

  rmSync(directory, { recursive: true, force: true });
  mkdirSync(dirname(directory), { recursive: true });
  const steps = [
    ['python3', '-m', 'venv', directory],
    [
      python,
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      ...dependencies,
      '-r',
      requirements,
    ],
  ];
  for (const [program = '', ...args] of steps) {
    const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
    if (status === 0) continue;
    const said = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
    return { reason: `${program} ${args.slice(0, 3).join(' ')}: ${said}` };
  }
  writeFileSync(join(directory, 'complete'), '');
  return { python };
}
