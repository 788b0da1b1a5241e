/**
 * Finds and compiles the quantizers for WebAssembly; its only importer. They come from the sources of the addon
 * (native/wasm) and take its place where there is none, some seven times as fast as TypeScript. Nothing is loaded before
 * the first call. `LATHE_ISA=typescript` leaves them alone.
 *
 * Node reserves some 10 GB of addresses for each memory, which it may not have (`ulimit -v`): there are none then.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './package-root.ts';

/** What native/wasm/border.cc exports. Pointers are offsets in `memory`. */
export interface WasmKernels {
  /** Runs initializers of the sources, once and first. */
  _initialize(): void;
  readonly memory: WasmMemory;
  /** Where memory begins that the kernels do not use themselves. */
  heapStart(): number;
  /** Where the numbers of a call are left, and of an answer found. */
  numbers(): number;
  quantize(): number;
  measure(): void;
}

/** Memory in pages of 64 KiB. Growing it detaches the buffers it gave. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** What this needs of a global that the types of Node leave out. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

/** What `doctor` tells about these kernels. */
export interface WasmStatus {
  readonly loaded: boolean;
  /** Why they are not loaded. */
  readonly reason?: string;
}

interface Loaded {
  readonly status: WasmStatus;
  readonly create: () => WasmKernels | undefined;
}

let loaded: Loaded | undefined;

function unavailable(reason: string): Loaded {
  return { status: { loaded: false, reason }, create: () => undefined };
}

function load(): Loaded {
  if (process.env['LATHE_ISA'] === 'typescript') return unavailable('LATHE_ISA=typescript');
  const { WebAssembly: api } = globalThis as { readonly WebAssembly?: WebAssemblyApi };
  // As with node --jitless.
  if (api === undefined) return unavailable('this Node runs no WebAssembly');
  const path = join(packageRoot(), 'native', 'wasm', 'kernels.wasm');
  try {
    const module = new api.Module(readFileSync(path));
    // What can be compiled may still find no room: the first kernels are made now, and given to who asks first.
    let first: WasmKernels | undefined = instantiate(api, module);
    const create = () => {
      const kernels = first ?? instantiateIfRoom(api, module);
      first = undefined;
      return kernels;
    };
    return { status: { loaded: true }, create };
  } catch (error) {
    return unavailable(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function instantiate(api: WebAssemblyApi, module: object): WasmKernels {
  const kernels = new api.Instance(module).exports as WasmKernels;
  kernels._initialize();
  return kernels;
}

function instantiateIfRoom(api: WebAssemblyApi, module: object): WasmKernels | undefined {
  try {
    return instantiate(api, module);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * New kernels with a memory of their own, or undefined where there are none (see {@link wasmStatus}) or no room for
 * more.
 */
export function createWasmKernels(): WasmKernels | undefined {
  loaded ??= load();
  return loaded.create();
}

/** Whether there are such kernels, and why not. */
export function wasmStatus(): WasmStatus {
  loaded ??= load();
  return loaded.status;
}
