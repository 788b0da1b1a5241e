/**
 * Compiles the kernels to kernels.wasm, which is kept with the sources: the compiler (Clang, as WebAssembly itself)
 * takes 100 MB and more than a minute, and gives the same bytes on every machine.
 *
 *   node native/wasm/build.mjs           writes kernels.wasm
 *   node native/wasm/build.mjs --check   fails where it is not what the sources give
 *
 * The compiler is installed into native/wasm/node_modules, for which the registry of npm must be reachable. Where it is
 * not, nothing is checked, and a line says so; that the file was made from these sources is tested anyway.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compiled, digestSources, flags, here, readSources, SECTION, target } from './sources.mjs';

/** True when the compiler is there, or could be installed. */
function hasCompiler() {
  if (existsSync(join(here, 'node_modules', '@yowasp', 'clang'))) return true;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--fetch-retries=1'];
  return spawnSync('npm', args, { cwd: here, stdio: ['ignore', 2, 2] }).status === 0;
}

/** @returns {Promise<Uint8Array>} */
async function compile() {
  const { runClang } = await import('@yowasp/clang');
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

/** @param {boolean} isCheck */
async function build(isCheck) {
  if (!hasCompiler()) {
    if (!isCheck) throw new Error('the compiler could not be installed');
    process.stderr.write('not checked: the compiler could not be installed\n');
    return;
  }
  const bytes = await compile();
  if (!isCheck) {
    writeFileSync(target, bytes);
    process.stderr.write(`wrote ${target} (${bytes.length} bytes)\n`);
  } else if (!existsSync(target) || Buffer.compare(readFileSync(target), bytes) !== 0) {
    throw new Error(`${target} is not what its sources give: run npm run build:wasm`);
  }
}

try {
  await build(process.argv.includes('--check'));
} catch (error) {
  // That of the compiler holds all the sources.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
