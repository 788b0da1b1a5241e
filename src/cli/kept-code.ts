/**
 * Compiled code of the command line, for Node 20: without it a fifth of `inspect` is compiling. The build leaves it
 * beside the files (tools/keep-code.cjs), for the Node that built them; from version 22 on Node keeps code by itself.
 */

import { readFileSync } from 'node:fs';
import Module from 'node:module';
import { basename, dirname, join } from 'node:path';
import { cachedDataVersionTag, deserialize } from 'node:v8';
import { Script } from 'node:vm';
import { crc32 } from 'node:zlib';

/** Code by the name of the file it was compiled from, and the CRC-32 of that: V8 itself compares no more than lengths. */
type KeptCode = Readonly<Record<string, { readonly source: number; readonly code: Buffer }>>;

/** What Node's loader of CommonJS has and its types leave out. */
interface Loaded {
  readonly exports: unknown;
  readonly require: (id: string) => unknown;
}
type Loader = (module: Loaded, path: string) => void;
const loaders = (Module as unknown as { readonly _extensions: Record<'.js', Loader> })._extensions;

/** The directory of this file and all that belongs to the command line. */
const HERE = import.meta.dirname;

function readKeptCode(path: string): KeptCode | undefined {
  try {
    return deserialize(readFileSync(path));
  } catch {
    return undefined;
  }
}

/**
 * From here on the files beside this one are loaded with the code that is kept of them, where there is any and they are
 * still what it was made of. The bundler writes nothing but ASCII into them. None may have an `import()`: V8 does not
 * keep what it belongs to. Returns where the code is, or would be that V8 understands as it is set up now.
 */
export function useKeptCode(): string {
  const path = join(HERE, `code-${process.version}-${process.arch}-${cachedDataVersionTag()}.bin`);
  // Only Node's own loader reads source maps.
  const kept = process.sourceMapsEnabled === true ? undefined : readKeptCode(path);
  if (kept === undefined) return path;
  const load = loaders['.js'];
  loaders['.js'] = (module, filename) => {
    const entry = dirname(filename) === HERE ? kept[basename(filename)] : undefined;
    const source = entry && readFileSync(filename);
    if (entry === undefined || source === undefined || crc32(source) !== entry.source) {
      return load(module, filename);
    }
    const options = { filename, cachedData: entry.code };
    const run = new Script(Module.wrap(source.toString('latin1')), options).runInThisContext();
    run(module.exports, (id: string) => module.require(id), module, filename, HERE);
  };
  return path;
}
