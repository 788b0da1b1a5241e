/**
 * Leaves compiled code beside the files of the command line (src/cli/kept-code.ts). Loaded before it:
 *
 *   node --require tools/keep-code.cjs dist/cli/main.js inspect MODEL
 *
 * What that command compiles is kept, and what those below do, which have the rest of what most commands need. Of a
 * file that all of them use only what the quick ones run: reading code takes time too, and `shrink` has enough of it.
 */
const {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} = require('node:fs');
const Module = require('node:module');
const { tmpdir } = require('node:os');
const { basename, dirname, join } = require('node:path');
const { cachedDataVersionTag } = require('node:v8');
const { Script } = require('node:vm');

const [, main = '', , model = ''] = process.argv;
const cli = dirname(main);
// What an earlier build kept would be loaded instead of compiled.
for (const name of readdirSync(cli)) {
  if (name.startsWith('code-')) rmSync(join(cli, name), { recursive: true });
}

/** @typedef {(module: NodeJS.Module, filename: string) => void} Loader */
const loaders = /** @type {{ _extensions: { '.js': Loader } }} */ (/** @type {unknown} */ (Module))
  ._extensions;
const load = loaders['.js'];
/** @type {Map<string, { module: NodeJS.Module, text: string, script: InstanceType<typeof Script> }>} */
const loaded = new Map();

loaders['.js'] = (module, filename) => {
  if (dirname(filename) !== cli || filename === main) {
    load(module, filename);
    return;
  }
  const text = Module.wrap(readFileSync(filename, 'latin1'));
  const script = new Script(text, { filename });
  loaded.set(basename(filename), { module, text, script });
  const require = (/** @type {string} */ id) => module.require(id);
  script.runInThisContext()(module.exports, require, module, filename, cli);
};

/** @param {string} name of an export of a file of the command line */
function exported(name) {
  const found = [...loaded.values()].find(({ module }) => name in module.exports);
  if (found === undefined) throw new Error(`no file of ${cli} exports ${name}`);
  return found.module.exports[name];
}

/** What is compiled by now of the files that had none kept yet. @param {Map<string, Buffer>} kept */
function keep(kept) {
  for (const [name, { text, script }] of loaded) {
    if (kept.has(name)) continue;
    const header = Buffer.alloc(4);
    header.writeUInt32LE(text.length);
    const code = script.createCachedData();
    kept.set(name, Buffer.concat([header, Buffer.from(text, 'latin1'), code]));
  }
}

/** @param {readonly string[]} args */
async function run(...args) {
  const status = await exported('runCommandLine')(args);
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
}

process.once('beforeExit', async () => {
  /** @type {Map<string, Buffer>} */
  const kept = new Map();
  const output = mkdtempSync(join(tmpdir(), 'onnx-lathe-build-'));
  try {
    await run('repack', model, '-o', join(output, 'same'), '--quiet');
    await run('check', model);
    keep(kept);
    await run('shrink', model, '-o', join(output, 'small'), '--quiet');
    keep(kept);
  } finally {
    rmSync(output, { recursive: true });
  }
  // As src/cli/kept-code.ts looks for it. By now V8 is set up as the command does that.
  const versions = `${process.version}-${process.arch}-${cachedDataVersionTag()}`;
  const directory = join(cli, `code-${versions}`);
  const part = `${directory}.part`;
  mkdirSync(part, { recursive: true });
  for (const [name, code] of kept) writeFileSync(join(part, `${name}.bin`), code);
  renameSync(part, directory);
});
