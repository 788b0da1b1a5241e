/**
 * Compiled code of the command line, for Node 20: without it a fifth of `inspect` is compiling. The build leaves it
 * beside the files (tools/keep-code.cjs), for the Node that built them; from version 22 on Node keeps code by itself.
 */

import { existsSync, readFileSync } from 'node:fs';
import Module from 'node:module';
import { basename, dirname, join } from 'node:path';
import { cachedDataVersionTag } from 'node:v8';
import { Script } from 'node:vm';

/** What Node's loader of CommonJS has and its types leave out. */
interface Loaded {
  readonly exports: unknown;
  loaded: boolean;
  readonly require: (id: string) => unknown;
}
interface Loader {
  new (path: string): Loaded;
  readonly _cache: Record<string, Loaded>;
  readonly _extensions: Record<'.js', (module: Loaded, path: string) => void>;
}
const loader = Module as unknown as Loader;

/** The directory of this file and all that belongs to the command line. */
const HERE = import.meta.dirname;
/** Of the length of the script that stands before its code. */
const HEADER_BYTES = 4;
/** What CommonJS puts behind the text of a file, and the length of what it puts before it. */
const TAIL = '\n});';
const HEAD_LENGTH = Module.wrap('').indexOf(TAIL);

/** The script of a file, when its code is kept in `directory` and is still what the file would give. */
function keptScript(path: string, directory: string): Script | undefined {
  let kept: Buffer;
  try {
    kept = readFileSync(join(directory, `${basename(path)}.bin`));
  } catch {
    return undefined;
  }
  const codeOffset = HEADER_BYTES + (kept.length < HEADER_BYTES ? 0 : kept.readUInt32LE());
  const source = kept.subarray(HEADER_BYTES + HEAD_LENGTH, codeOffset - TAIL.length);
  // V8 itself compares no more than lengths.
  if (codeOffset >= kept.length || !source.equals(readFileSync(path))) return undefined;
  const cachedData = kept.subarray(codeOffset);
  return new Script(kept.toString('latin1', HEADER_BYTES, codeOffset), {
    filename: path,
    cachedData,
  });
}

/**
 * From here on the files beside this one are loaded with the code that is kept of them, where there is any and they are
 * still what it was made of. The bundler writes nothing but ASCII into them. None may have an `import()`: V8 does not
 * keep what it belongs to.
 */
export function useKeptCode(): void {
  const versions = `${process.version}-${process.arch}-${cachedDataVersionTag()}`;
  const directory = join(HERE, `code-${versions}`);
  // Only Node's own loader reads source maps.
  if (process.sourceMapsEnabled === true || !existsSync(directory)) return;
  const { _cache: modules, _extensions: loaders } = loader;
  const load = loaders['.js'];

  /** @param root module that Node loaded itself, whose `require` finds whatever is not beside this file */
  const run = (script: Script, module: Loaded, path: string, root: Loaded) => {
    const require = (id: string) => (id.startsWith('./') ? beside(id, root) : root.require(id));
    script.runInThisContext()(module.exports, require, module, path, HERE);
  };
  /** What `require` does for a file that is known to be here, without looking for it in several places. */
  const beside = (id: string, root: Loaded): unknown => {
    const path = join(HERE, id);
    const known = modules[path];
    if (known !== undefined) return known.exports;
    const script = keptScript(path, directory);
    if (script === undefined) return root.require(id);
    const module = new loader(path);
    modules[path] = module;
    try {
      run(script, module, path, root);
    } catch (error) {
      delete modules[path];
      throw error;
    }
    module.loaded = true;
    return module.exports;
  };
  loaders['.js'] = (module, path) => {
    const script = dirname(path) === HERE ? keptScript(path, directory) : undefined;
    if (script === undefined) load(module, path);
    else run(script, module, path, module);
  };
}
