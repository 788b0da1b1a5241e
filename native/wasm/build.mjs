/**
 * Compiles the kernels to kernels.wasm, which is kept with the sources: the compiler (Clang, as WebAssembly itself)
 * takes 100 MB and more than a minute, and gives the same bytes on every machine.
 *
 *   node native/wasm/build.mjs           writes kernels.wasm
 *   node native/wasm/build.mjs --check   fails where it is not what the sources give
 *
 * The compiler is installed into native/wasm/node_modules, for which the registry of npm must be reachable.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compiled, digestSources, flags, here, readSources, SECTION, target } from './sources.mjs';

/** @returns {Promise<typeof import('@yowasp/clang')>} */
async function loadCompiler() {
  if (!existsSync(join(here, 'node_modules', '@yowasp', 'clang'))) {
    const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    const { status } = spawnSync('npm', args, { cwd: here, stdio: ['ignore', 2, 2] });
    if (status !== 0) throw new Error('the compiler could not be installed');
  }
  return import('@yowasp/clang');
}

/** @returns {Promise<Uint8Array>} */
async function compile() {
  const { runClang } = await loadCompiler();
  const out = 'kernels.wasm';
  /** @param {Uint8Array | null} text */
  const stderr = (text) => text && process.stderr.write(text);
  const options = { stderr, fetchProgress: null };
  const files = await runClang(
    ['clang++', ...flags, ...compiled, '-o', out],
    readSources(),
    options,
  );
  const bytes = files[out];
  if (!(bytes instanceof Uint8Array)) throw new Error('the compiler made nothing');
  return Buffer.concat([bytes, customSection(SECTION, digestSources())]);
}

/**
 * A custom section: its number, its length, the length of its name, its name, its content.
 * @param {string} name
 * @param {Uint8Array} content
 */
function customSection(name, content) {
  const length = 1 + name.length + content.length;
  if (length >= 0x80) throw new RangeError('lengths of two bytes are not written here');
  return Buffer.concat([Buffer.from([0, length, name.length]), Buffer.from(name), content]);
}

try {
  const bytes = await compile();
  if (!process.argv.includes('--check')) {
    writeFileSync(target, bytes);
    process.stderr.write(`wrote ${target} (${bytes.length} bytes)\n`);
  } else if (!existsSync(target) || Buffer.compare(readFileSync(target), bytes) !== 0) {
    throw new Error(`${target} is not what its sources give: run npm run build:wasm`);
  }
} catch (error) {
  // That of the compiler holds all the sources.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
