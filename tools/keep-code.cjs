/**
 * Leaves compiled code beside the files of the command line (src/cli/kept-code.ts). Loaded before it:
 *
 *   node --require tools/keep-code.cjs dist/cli/main.js inspect MODEL
 *
 * What that command compiles is kept, and what those below do, which have the rest of what most commands need.
 */
const { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { tmpdir } = require('node:os');
const { basename, dirname, join } = require('node:path');
const { serialize } = require('node:v8');
const { Script } = require('node:vm');
const { crc32 } = require('node:zlib');

const [, main = '', , model = ''] = process.argv;
const cli = dirname(main);
/** @typedef {(module: NodeJS.Module, filename: string) => void} Loader */
const loaders = /** @type {{ _extensions: { '.js': Loader } }} */ (/** @type {unknown} */ (Module))
  ._extensions;
const load = loaders['.js'];
/** @type {Map<string, { module: NodeJS.Module, source: Buffer, script: InstanceType<typeof Script> }>} */
const loaded = new Map();

loaders['.js'] = (module, filename) => {
  if (dirname(filename) !== cli || filename === main) {
    load(module, filename);
    return;
  }
  const source = readFileSync(filename);
  const script = new Script(Module.wrap(source.toString('latin1')), { filename });
  loaded.set(basename(filename), { module, source, script });
  const require = (/** @type {string} */ id) => module.require(id);
  script.runInThisContext()(module.exports, require, module, filename, cli);
};

/** @param {string} name of an export of a file of the command line */
function exported(name) {
  const found = [...loaded.values()].find(({ module }) => name in module.exports);
  if (found === undefined) throw new Error(`no file of ${cli} exports ${name}`);
  return found.module.exports[name];
}

process.once('beforeExit', async () => {
  const output = mkdtempSync(join(tmpdir(), 'onnx-lathe-build-'));
  try {
    for (const args of [
      ['check', model],
      ['shrink', model, '-o', join(output, 'small'), '--quiet'],
      ['repack', model, '-o', join(output, 'same'), '--quiet'],
    ]) {
      const status = await exported('runCommandLine')(args);
      if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
    }
  } finally {
    rmSync(output, { recursive: true });
  }
  const path = exported('useKeptCode')();
  const kept = [...loaded].map(([name, { source, script }]) => [
    name,
    { source: crc32(source), code: script.createCachedData() },
  ]);
  writeFileSync(`${path}.part`, serialize(Object.fromEntries(kept)));
  renameSync(`${path}.part`, path);
});
