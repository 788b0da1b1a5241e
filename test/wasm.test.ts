import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { digestSources, SECTION, target } from '../native/wasm/sources.mjs';
import { packageRoot } from '../src/package-root.ts';
import { wasmKernels } from '../src/stream/wasm-kernels.ts';

/** The module as a process with these variables sees it. */
async function wasmWith(environment: Record<string, string>) {
  vi.resetModules();
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  return import('../src/wasm.ts');
}

afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.resetModules();
});

describe('the kernels for WebAssembly', () => {
  it('were compiled from the sources that are here', () => {
    const { WebAssembly: api } = globalThis as unknown as {
      readonly WebAssembly: {
        readonly Module: {
          new (bytes: Uint8Array): object;
          customSections(module: object, name: string): ArrayBuffer[];
        };
      };
    };
    const [section] = api.Module.customSections(new api.Module(readFileSync(target)), SECTION);
    const digest = Buffer.from(section ?? new ArrayBuffer(0)).toString('hex');
    // Where they are not: npm run build:wasm
    expect(digest).toBe(digestSources().toString('hex'));
  });

  it('are left alone with LATHE_ISA=typescript', async () => {
    const wasm = await wasmWith({ LATHE_ISA: 'typescript' });
    expect(wasm.createWasmKernels()).toBeUndefined();
    expect(wasm.wasmStatus()).toEqual({ loaded: false, reason: 'LATHE_ISA=typescript' });
  });

  it('are done without where Node runs no WebAssembly', () => {
    const env = { ...process.env, LATHE_NATIVE: 'off', NODE_OPTIONS: '--jitless' };
    const main = join(packageRoot(), 'dist', 'cli', 'main.js');
    const { stdout } = spawnSync(process.execPath, [main, '--version'], { env, encoding: 'utf8' });
    expect(stdout).toContain(
      'TypeScript (no addon: LATHE_NATIVE=off; this Node runs no WebAssembly)',
    );
  });

  it('say what is wrong with their file', async () => {
    const Module = class {
      constructor() {
        throw new Error('not compiled');
      }
    };
    vi.stubGlobal('WebAssembly', { Module });
    const { wasmStatus } = await wasmWith({ LATHE_ISA: '' });
    expect(wasmStatus()).toEqual({ loaded: false, reason: `${target}: not compiled` });
  });

  it('are not had where there is no room for one of them', async () => {
    const Instance = class {
      constructor() {
        throw new RangeError('Out of memory');
      }
    };
    vi.stubGlobal('WebAssembly', { Module: class {}, Instance });
    const { createWasmKernels, wasmStatus } = await wasmWith({ LATHE_ISA: '' });
    expect(createWasmKernels()).toBeUndefined();
    expect(wasmStatus()).toEqual({ loaded: false, reason: `${target}: Out of memory` });
  });

  it('are not had where there is no room for another one', async () => {
    let rooms = 1;
    const Instance = class {
      readonly exports = { _initialize: () => undefined };
      constructor() {
        if (rooms-- === 0) throw new RangeError('Out of memory');
      }
    };
    vi.stubGlobal('WebAssembly', { Module: class {}, Instance });
    const { createWasmKernels, wasmStatus } = await wasmWith({ LATHE_ISA: '' });
    expect(createWasmKernels()).toBeDefined();
    expect(createWasmKernels()).toBeUndefined();
    expect(wasmStatus()).toEqual({ loaded: true });
  });

  it('are what runs where they are asked for, or nothing', async () => {
    await wasmWith({ LATHE_ISA: 'typescript' });
    const { runProgram } = await import('../src/stream/executor.ts');
    const { ProgramBuilder } = await import('../src/stream/program-builder.ts');
    const builder = new ProgramBuilder({ memoryBytes: 1 << 20, threads: 1 });
    const file = { fd: -1, path: 'none', byteLength: 64 };
    const range = { kind: 'range', file, byteOffset: 0, byteLength: 64 } as const;
    builder.addCopy(range, { file: { fd: -1, path: 'none' }, byteOffset: 0 });
    await expect(runProgram(builder.finish(), { executor: 'wasm' })).rejects.toThrow(
      'no kernels for WebAssembly: LATHE_ISA=typescript',
    );
  });

  it('are not had with more memory than there can be', () => {
    expect(wasmKernels(2 ** 32)).toBeUndefined();
    expect(wasmKernels(100_000)?.allocate(100_000)).toHaveLength(100_000);
  });

  it('take no tile that lies elsewhere', () => {
    const bytes = new Uint8Array(256);
    const tile = {
      parameters: {
        ...({ method: 'rtn', type: 10, bits: 4, blockSize: 32, symmetric: true } as const),
        ...({ layout: 'rows', n: 1, k: 32 } as const),
      },
      ...{ source: bytes, strideBytes: 64, channels: 1, elements: 32 },
      target: {
        ...{ codes: bytes, codesStride: 16, scales: bytes, scalesStride: 2 },
        ...{ zeroPoints: undefined, zeroPointsStride: 0 },
      },
    };
    expect(() => wasmKernels(1024)?.quantize(tile)).toThrow('a tile outside of the memory');
  });
});
