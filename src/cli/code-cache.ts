/**
 * Compiled code of the command line, kept between runs of Node 20: without it a fifth of `inspect` is compiling. From
 * Node 22 on Node does this itself (`module.enableCompileCache`), and like it this keeps the code in the temporary
 * directory; here in files that only their owner can have written.
 */

import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import Module from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { cachedDataVersionTag, deserialize, serialize } from 'node:v8';
import { Script } from 'node:vm';

/** What Node's loader of CommonJS has and its types leave out. */
interface Loaded {
  readonly exports: unknown;
  readonly require: (id: string) => unknown;
}
type Loader = (module: Loaded, path: string) => void;
const loaders = (Module as unknown as { readonly _extensions: Record<'.js', Loader> })._extensions;

/** Compiled code by the name of the file it was made of. */
type Code = Readonly<Record<string, Buffer>>;

/** A directory of the user alone. Throws where it cannot be made, or somebody else made it or could write there. */
function ownDirectory(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(path);
  if (uid !== process.getuid?.() || (mode & 0o170077) !== 0o040000) throw new Error(path);
  return path;
}

/** The directory of this file and all that belongs to the command line. */
const HERE = import.meta.dirname;

/** Where the code of a command is kept: not the same place for flags and versions of V8 that do not understand it. */
function codePath(command: string): string {
  const owner = ownDirectory(join(tmpdir(), `onnx-lathe-${process.getuid?.()}`));
  const tag = `${process.version}-${process.arch}-${cachedDataVersionTag()}`;
  return join(owner, tag, HERE, `${command}.code`);
}

/** What goes wrong with kept code goes wrong with the time of one start, and with nothing else. */
function orNothing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

/** Writes all of the file or none of it, also where the machine stops: V8 believes what it reads here. */
function write(path: string, code: Code): void {
  const draft = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    const file = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(file, serialize(code));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * From here on the files beside this one are loaded with what earlier runs of `command` compiled of them; where those
 * did not have all, what is compiled now is kept when the process ends. The bundler gives files names that change with
 * what is in them, and writes nothing but ASCII. None may have an `import()`: V8 does not keep what it belongs to.
 */
export function keepCompiledCode(command: string): void {
  if (process.env['NODE_DISABLE_COMPILE_CACHE'] === '1' || !/^[a-z]+$/.test(command)) return;
  const path = orNothing(() => codePath(command));
  if (path === undefined) return;
  const kept: Code = orNothing(() => deserialize(readFileSync(path))) ?? {};
  const scripts = new Map<string, Script>();
  let isComplete = true;
  const load = loaders['.js'];
  loaders['.js'] = (module, filename) => {
    if (dirname(filename) !== HERE) return load(module, filename);
    const name = basename(filename);
    const cachedData = kept[name];
    const script = new Script(Module.wrap(readFileSync(filename, 'latin1')), {
      filename,
      ...(cachedData !== undefined && { cachedData }),
    });
    isComplete &&= script.cachedDataRejected === false;
    scripts.set(name, script);
    const run = script.runInThisContext();
    run(module.exports, (id: string) => module.require(id), module, filename, HERE);
  };
  process.once('exit', (exitCode) => {
    // A command that there is not has nothing to keep.
    if (isComplete || exitCode === 2) return;
    const others = Object.entries(kept).filter(([name]) => existsSync(join(HERE, name)));
    const code = [...scripts].map(([name, script]) => [name, script.createCachedData()]);
    orNothing(() => write(path, Object.fromEntries([...others, ...code])));
  });
}
