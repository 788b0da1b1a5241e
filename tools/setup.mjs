/**
 * Brings a checkout to the state its commands need: packages installed, addon and dist built. Each part is done only
 * when it is missing or older than what it is made from, so that `npm test` and `npm run demo` are all a fresh clone
 * needs. Only Node's own modules are used here: there may be no packages yet.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import nodeModule from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Directory of the checkout. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const addon = join(root, 'native', 'build', 'Release', 'lathe.node');
const dist = join(root, 'dist');
/** What the last builds were made from; goes away together with the installed packages. */
const stampFile = join(root, 'node_modules', '.cache', 'onnx-lathe', 'built.json');

/**
 * Runs a command in the checkout with its output on stderr, so that stdout stays the caller's. False when it failed.
 * @param {string} command
 * @param {string[]} args
 */
function succeeds(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error !== undefined) process.stderr.write(`${command}: ${error.message}\n`);
  return status === 0;
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/**
 * Paths of the files below a directory, sorted, so that the same content always gives the same list.
 * @param {string} directory
 * @param {(name: string) => boolean} [wanted]
 * @returns {string[]}
 */
function filesBelow(directory, wanted = () => true) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .filter(({ name }) => wanted(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? filesBelow(path, wanted) : [path];
    });
}

/**
 * Digest of the names and contents of files, and of settings that change what is made from them.
 * @param {string[]} files
 * @param {(string | undefined)[]} settings
 */
function digest(files, settings) {
  const hash = createHash('sha256').update(JSON.stringify(settings));
  for (const file of files) {
    hash.update(`\n${relative(root, file)}\n`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

/**
 * Time of the latest change to any of the files, in milliseconds; 0 without files.
 * @param {string[]} files
 */
function lastChange(files) {
  return Math.max(0, ...files.map((file) => statSync(file).mtimeMs));
}

/**
 * Tells whether anybody else changed, added or removed files since the last build, without reading them.
 * @param {string[]} files
 */
function trace(files) {
  return `${files.length} ${lastChange(files)}`;
}

/**
 * True when `outputs` are what the last build of `part` left, and it was made from `inputs`.
 * @param {'addon' | 'dist' | 'code'} part
 * @param {string} inputs
 * @param {string[]} outputs
 */
function isFresh(part, inputs, outputs) {
  const stamp = existsSync(stampFile) ? readJson(stampFile)[part] : undefined;
  return stamp?.inputs === inputs && stamp.outputs === trace(outputs) && outputs.length > 0;
}

/**
 * @param {'addon' | 'dist' | 'code'} part
 * @param {string} inputs
 * @param {string[]} outputs
 */
function markFresh(part, inputs, outputs) {
  const stamps = existsSync(stampFile) ? readJson(stampFile) : {};
  stamps[part] = { inputs, outputs: trace(outputs) };
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, JSON.stringify(stamps));
}

/** @param {string} name */
function isKeptCode(name) {
  return /^code-v/.test(name);
}

/** What ensureDist makes. */
function compiledFiles() {
  return filesBelow(dist, (name) => !isKeptCode(name));
}

function builtAddon() {
  return existsSync(addon) ? [addon] : [];
}

/** True when node_modules holds exactly the versions of package-lock.json; packages of other systems may be absent. */
function isInstalled() {
  const installedLock = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedLock)) return false;
  const installed = readJson(installedLock).packages;
  const locked = readJson(join(root, 'package-lock.json')).packages;
  return Object.entries(locked).every(([path, { version, optional }]) => {
    if (path === '') return true;
    if (installed[path] === undefined) return optional === true;
    return installed[path].version === version && existsSync(join(root, path));
  });
}

/** Installs the packages of package-lock.json unless they are there. Throws when npm fails. */
export function ensureInstalled() {
  const [major = 0] = process.versions.node.split('.').map(Number);
  if (major < 20) throw new Error(`Node ${process.versions.node} is too old: use Node 20 or newer`);
  if (isInstalled()) return;
  process.stderr.write('installing packages (npm ci)\n');
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  // The npm that runs this script, if one does: another one may be first on the PATH, or none.
  const npm = process.env['npm_execpath'] ?? '';
  const done = npm.endsWith('npm-cli.js')
    ? succeeds(process.execPath, [npm, ...args])
    : succeeds('npm', args);
  if (!done) throw new Error('npm ci failed');
}

/**
 * Builds the native addon if its sources changed. Without a compiler everything works without the addon, so that is
 * a warning; `strict` makes it, and every warning of the compiler, an error.
 * @param {{ strict?: boolean }} [options]
 */
export function ensureAddon({ strict = false } = {}) {
  const sources = filesBelow(join(root, 'native'), (name) => name !== 'build' && name !== 'wasm');
  const { CXX, CXXFLAGS } = process.env;
  const inputs = digest(sources, [process.platform, process.arch, CXX, CXXFLAGS]);
  if (isFresh('addon', inputs, builtAddon())) return;
  const script = join(root, 'native', 'build.mjs');
  if (!succeeds(process.execPath, [script, ...(strict ? ['--strict'] : [])])) {
    throw new Error('the native addon could not be built');
  }
  if (!existsSync(addon)) return;
  if (lastChange([addon]) >= lastChange(sources)) markFresh('addon', inputs, builtAddon());
  // The build failed and said so; an addon of older sources must not be taken for this one.
  else rmSync(addon);
}

/**
 * Compiles src to dist and bundles the command line if anything they depend on changed, or always with `force`.
 * Throws on a type error.
 * @param {{ force?: boolean }} [options]
 */
export function ensureDist({ force = false } = {}) {
  const source = join(root, 'src');
  const files = filesBelow(source);
  const bundler = join(root, 'tools', 'bundle.mjs');
  const settings = ['tsconfig.json', 'package-lock.json'].map((name) => join(root, name));
  const inputs = digest([...files, ...settings, bundler], []);
  if (!force && isFresh('dist', inputs, compiledFiles())) return;
  process.stderr.write('compiling src to dist\n');
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!succeeds(process.execPath, [compiler, '-p', 'tsconfig.json'])) {
    throw new Error('src does not compile');
  }
  const expected = new Set();
  for (const file of files) {
    const target = join(dist, relative(source, file));
    if (file.endsWith('.ts')) {
      for (const ending of ['.js', '.js.map', '.d.ts']) {
        expected.add(target.replace(/\.ts$/, ending));
      }
    }
  }
  for (const file of filesBelow(dist)) if (!expected.has(file)) rmSync(file);
  if (!succeeds(process.execPath, [bundler])) throw new Error('the command line was not bundled');
  chmodSync(join(dist, 'cli', 'main.js'), 0o755);
  markFresh('dist', inputs, compiledFiles());
}

/**
 * Keeps compiled code of the command line, with the addon where there is one, for versions of Node that do not keep any
 * themselves (src/cli/kept-code.ts). Everything works without, a little later: that it fails is a warning.
 */
export function ensureKeptCode() {
  if ('enableCompileCache' in nodeModule) return;
  const keeper = join(root, 'tools', 'keep-code.cjs');
  const inputs = digest([keeper], [process.version, trace(compiledFiles()), trace(builtAddon())]);
  const cli = join(dist, 'cli');
  const directories = () => readdirSync(cli).filter(isKeptCode);
  const outputs = () => directories().flatMap((name) => filesBelow(join(cli, name)));
  if (isFresh('code', inputs, outputs())) return;
  const main = join(cli, 'main.js');
  const model = join(root, 'examples', 'austen-tiny', 'mobius-fp16');
  const args = ['--require', keeper, main, 'inspect', model];
  // Code that was compiled with other flags would never be used.
  const env = { ...process.env, NODE_OPTIONS: undefined };
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 2], env });
  if (status === 0) markFresh('code', inputs, outputs());
  else process.stderr.write('no compiled code was kept: commands start slower\n');
}
