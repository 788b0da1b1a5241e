/** What kernels.wasm is made from. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Directory of this file. */
export const here = dirname(fileURLToPath(import.meta.url));

/** What the build makes. */
export const target = join(here, 'kernels.wasm');

/** Name of the custom section of the target that holds the digest of its sources. */
export const SECTION = 'sources';

/** As the addon is compiled, but for 128-bit vectors of WebAssembly and without a system around it. */
export const flags = [
  ...['--target=wasm32-wasip1', '-msimd128', '-mexec-model=reactor'],
  ...['-std=c++17', '-O3', '-ffp-contract=off', '-fno-math-errno', '-fno-exceptions', '-fno-rtti'],
  ...['-Wall', '-Wextra', '-Werror'],
  // A stack that runs over then ends the program, where it would run into data otherwise.
  ...['-Wl,--stack-first', '-Wl,-z,stack-size=1048576', '-Wl,--strip-all'],
];

/** The compiled files: those that `border.cc` calls for. */
export const compiled = ['border.cc', 'dispatch.cc', 'measure.cc', 'olive.cc', 'quantize-plain.cc'];

/** Headers for other processors. */
const FOREIGN = /^(?:simd-avx|plain-(?:sse2|neon|generic)\.h)/;

/** Names of sources and headers with their text, as if they lay in one directory. */
export function readSources() {
  const kernels = join(here, '..', 'kernels');
  const names = readdirSync(kernels)
    .filter((name) => (name.endsWith('.h') && !FOREIGN.test(name)) || compiled.includes(name))
    .sort();
  return Object.fromEntries([
    ['border.cc', readFileSync(join(here, 'border.cc'), 'utf8')],
    ...names.map((name) => [name, readFileSync(join(kernels, name), 'utf8')]),
  ]);
}

/** SHA-256 of the sources, the flags and the version of the compiler. */
export function digestSources() {
  const { devDependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  return createHash('sha256')
    .update(JSON.stringify([readSources(), flags, devDependencies]))
    .digest();
}
