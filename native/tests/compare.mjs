// Holds the quantizers of all instruction sets to the same bytes: those this processor runs, and NEON in an emulator.
//
//   node native/tests/compare.mjs
//
// NEON needs a cross compiler and an emulator (Debian: g++-aarch64-linux-gnu and qemu-user) and is skipped, with a line
// that says so, where they are missing. Exits: 0 all agree, 1 a difference or a failure.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const kernels = join(here, '..', 'kernels');
// The flags of native/build.mjs that arithmetic depends on.
const flags = ['-std=c++17', '-O2', '-ffp-contract=off', '-fno-math-errno', '-Wall', '-Wextra'];

/** @typedef {{ name: string, compiler: string, link: string[], run: string[] }} Target */

/** @type {Target} */
const native = {
  name: 'this processor',
  compiler: process.env['CXX'] || 'g++',
  link: [],
  run: [],
};
/** @type {Target} */
const neon = {
  name: 'NEON',
  compiler: 'aarch64-linux-gnu-g++',
  link: ['-static'],
  run: ['qemu-aarch64'],
};

/** @param {string} program */
function exists(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * Compiles and runs the program for a target; gives the digest of each format, by the instruction set's name.
 * @param {Target} target
 * @param {string} directory
 * @returns {Map<string, Map<string, string>>}
 */
function digests({ name, compiler, link, run }, directory) {
  const program = join(directory, name.replaceAll(' ', '-'));
  const sources = readdirSync(kernels)
    .filter((file) => file.endsWith('.cc'))
    .map((file) => join(kernels, file));
  /** @param {string} command @param {string[]} args */
  const succeed = (command, args) => {
    const { status, stdout, error } = spawnSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) throw new Error(`${name}: ${command} failed ${error?.message ?? ''}`.trim());
    return stdout;
  };
  succeed(compiler, [
    ...flags,
    ...link,
    '-o',
    program,
    ...sources,
    join(here, 'kernel-digests.cc'),
  ]);
  const [command = program, ...args] = [...run, program];
  /** @type {Map<string, Map<string, string>>} */
  const found = new Map();
  for (const line of succeed(command, args).trimEnd().split('\n')) {
    const [, isa = '', format = '', digest = ''] = /^(\S+) (.*): (\S+)$/.exec(line) ?? [];
    const formats = found.get(isa) ?? new Map();
    found.set(isa, formats.set(format, digest));
  }
  return found;
}

const directory = mkdtempSync(join(tmpdir(), 'onnx-lathe-kernels-'));
try {
  const found = [...digests(native, directory)];
  const missing = [neon.compiler, ...neon.run].filter((program) => !exists(program));
  if (missing.length === 0) {
    const emulated = digests(neon, directory).get('plain');
    if (emulated !== undefined) found.push([neon.name, emulated]);
  } else {
    process.stdout.write(`NEON skipped: ${missing.join(' and ')} not found\n`);
  }
  const [name, expected] = found.find(([isa]) => isa === 'plain') ?? ['', new Map()];
  let different = 0;
  for (const [isa, formats] of found) {
    for (const [format, digest] of expected) {
      if (formats.get(format) === digest) continue;
      different++;
      process.stdout.write(`${isa} differs from ${name}: ${format}\n`);
    }
  }
  const isas = found.map(([isa]) => isa).join(', ');
  process.stdout.write(`${isas}: ${expected.size} formats, ${different} differences\n`);
  if (different > 0 || expected.size === 0) process.exitCode = 1;
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
