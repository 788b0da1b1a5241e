/**
 * Finds and compiles the quantizers for WebAssembly; its only importer. They come from the sources of the addon
 * (native/wasm) and take its place where there is none, some seven times as fast as TypeScript. Nothing is loaded before
 * the first call. `LATHE_ISA=typescript` leaves them alone.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './package-root.ts';

/** What native/wasm/border.cc exports. Pointers are offsets in `memory`. */
export interface WasmKernels {
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

interface Compiled {
  readonly create?: () => WasmKernels;
  readonly status: WasmStatus;
}

let compiled: Compiled | undefined;

function compile(): Compiled {
  if (process.env['LATHE_ISA'] === 'typescript') {
    return { status: { loaded: false, reason: 'LATHE_ISA=typescript' } };
  }
  const { WebAssembly: api } = globalThis as { readonly WebAssembly?: WebAssemblyApi };
  // As with node --jitless.
  if (api === undefined) {
    return { status: { loaded: false, reason: 'this Node runs no WebAssembly' } };
  }
  const path = join(packageRoot(), 'native', 'wasm', 'kernels.wasm');
  try {
    const module = new api.Module(readFileSync(path));
    const create = () => new api.Instance(module).exports as WasmKernels;
    return { create, status: { loaded: true } };
  } catch (error) {
    const reason = `${path}: ${error instanceof Error ? error.message : String(error)}`;
    return { status: { loaded: false, reason } };
  }
}

/** New kernels with a memory of their own, or undefined where there are none (see {@link wasmStatus}). */
export function createWasmKernels(): WasmKernels | undefined {
  compiled ??= compile();
  return compiled.create?.();
}

/** Whether there are such kernels, and why not. */
export function wasmStatus(): WasmStatus {
  compiled ??= compile();
  return compiled.status;
}
