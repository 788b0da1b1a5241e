// Builds native/build/Release/lathe.node with the C++ compiler alone: no node-gyp, no Python, no network. Node's
// headers are taken from beside the running node.
//
//   node native/build.mjs            warns in one line and exits 0 when the machine cannot build it
//   node native/build.mjs --strict   warnings are errors, and so is a machine that cannot build
//
// CXX chooses the compiler, CXXFLAGS adds to its flags. A source is compiled again when it, a header or the flags
// are newer than its object.

import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const strict = process.argv.includes('--strict');
const compiler = process.env['CXX'] || 'g++';
const objects = join(root, 'build', 'obj');
const target = join(root, 'build', 'Release', 'lathe.node');
/** Ends the stamp of a build in which warnings were errors. */
const STRICT = '\n-Werror';

/** Directory that holds node_api.h: beside the executable (Debian, nvm, installers), or where node-gyp put it. */
function findHeaders() {
  const prefix = resolve(dirname(realpathSync(process.execPath)), '..');
  const home = process.env['HOME'] ?? '';
  const candidates = [
    join(process.env['npm_config_nodedir'] ?? prefix, 'include', 'node'),
    join(prefix, 'include', 'node'),
    join(home, '.cache', 'node-gyp', process.version.slice(1), 'include', 'node'),
  ];
  return candidates.find((directory) => existsSync(join(directory, 'node_api.h')));
}

/** @param {string} extension */
function filesOf(extension) {
  return ['', 'kernels'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(extension))
      .sort()
      .map((name) => join(folder, name)),
  );
}

/** @param {string} path */
function modified(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

/**
 * Runs the compiler to make `what`; resolves when it succeeded.
 * @param {string} what
 * @param {string[]} args
 */
function compile(what, args) {
  return new Promise((done, fail) => {
    const child = spawn(compiler, args, {
      stdio: ['ignore', 'inherit', strict ? 'inherit' : 'pipe'],
    });
    let messages = '';
    child.stderr?.on('data', (chunk) => {
      messages += chunk;
    });
    child.on('error', (error) => fail(new Error(`${compiler}: ${error.message}`)));
    child.on('close', (code) => {
      const first = messages.split('\n').find((line) => line.includes('error')) ?? '';
      if (code === 0) done(undefined);
      else fail(new Error(`${compiler} cannot make ${what} ${first}`.trim()));
    });
  });
}

/** Link flags that leave Node's own symbols to be found when the addon is loaded. */
const linkFlags =
  process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared'];

async function build() {
  if (process.platform === 'win32') throw new Error('Windows is not supported');
  const headers = findHeaders();
  if (headers === undefined) throw new Error(`no node_api.h beside ${process.execPath}`);
  const flags = [
    ...['-std=c++17', '-O3', '-fPIC', '-pthread', '-fvisibility=hidden'],
    ...['-ffp-contract=off', '-fno-math-errno', '-DNAPI_VERSION=8', `-I${headers}`],
    ...['-Wall', '-Wextra'],
    ...(process.env['CXXFLAGS'] ?? '').split(/\s+/).filter(Boolean),
  ];

  mkdirSync(join(objects, 'kernels'), { recursive: true });
  mkdirSync(dirname(target), { recursive: true });
  const stamp = join(objects, 'flags.txt');
  const wording = [compiler, ...flags].join('\n');
  const stamped = existsSync(stamp) ? readFileSync(stamp, 'utf8') : undefined;
  // Objects that were made without a warning serve where warnings are let pass, too.
  if (stamped !== wording + STRICT && (strict || stamped !== wording)) {
    writeFileSync(stamp, strict ? wording + STRICT : wording);
  }
  const common = Math.max(
    ...filesOf('.h').map((header) => modified(join(root, header))),
    modified(stamp),
  );

  const sources = filesOf('.cc');
  const objectOf = (/** @type {string} */ source) => join(objects, `${source}.o`);
  const stale = sources.filter((source) => {
    const built = modified(objectOf(source));
    return built < common || built < modified(join(root, source));
  });
  if (!strict && stale.length > 0 && stamped === wording + STRICT) {
    // No longer all of them; which is no reason to make the others again.
    const since = new Date(modified(stamp));
    writeFileSync(stamp, wording);
    utimesSync(stamp, since, since);
  }
  const newest = Math.max(...sources.map((source) => modified(objectOf(source))));
  if (stale.length === 0 && modified(target) >= newest) return;

  // Written beside the final name and renamed: a build that is interrupted, or two at once, leave nothing half done.
  // The kernels take half a minute each and the others a second: first, so that no processor waits for the last of them.
  const isKernel = (/** @type {string} */ source) => source.includes('quantize-');
  const queue = [...stale.filter(isKernel), ...stale.filter((source) => !isKernel(source))];
  const worker = async () => {
    for (let source = queue.shift(); source !== undefined; source = queue.shift()) {
      const temporary = `${objectOf(source)}.${process.pid}`;
      const begunAt = new Date();
      await compile(source, [
        ...flags,
        ...(strict ? ['-Werror'] : []),
        '-c',
        '-o',
        temporary,
        join(root, source),
      ]);
      // A header that changes while the compiler runs is newer than what comes of it.
      utimesSync(temporary, begunAt, begunAt);
      renameSync(temporary, objectOf(source));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  const temporary = `${target}.${process.pid}`;
  await compile('lathe.node', [
    ...linkFlags,
    '-pthread',
    '-o',
    temporary,
    ...sources.map(objectOf),
  ]);
  renameSync(temporary, target);
  process.stderr.write(`built ${target}\n`);
}

try {
  await build();
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(
    strict
      ? `native build failed: ${reason}\n`
      : `native addon not built (${reason}); kernels run in WebAssembly\n`,
  );
  if (strict) process.exitCode = 1;
}
