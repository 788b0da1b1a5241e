/** `onnx-lathe doctor`: what this installation can do, and why not more. */

import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { formatSize } from '../../bytes.ts';
import { loadRuntime } from '../../evaluate/runtime.ts';
import { loadNative, nativeStatus } from '../../native.ts';
import { packageRoot } from '../../package-root.ts';
import { wasmStatus } from '../../wasm.ts';
import { printJson, printLine } from '../output.ts';
import { formatTable } from '../table.ts';

function packageVersion(): string {
  const file = join(packageRoot(), 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function kernelLine(): string {
  const native = loadNative();
  const status = nativeStatus();
  if (native !== undefined) return `native, ${status.isa ?? native.info().isa}`;
  const why = `no addon: ${status.reason ?? 'unknown reason'}`;
  const { loaded, reason = 'unknown reason' } = wasmStatus();
  if (loaded) return `WebAssembly (${why})`;
  return reason === status.reason ? `TypeScript (${reason})` : `TypeScript (${why}; ${reason})`;
}

/** One line for `--version`. */
export function printVersion(): void {
  printLine(`onnx-lathe ${packageVersion()}, kernels ${kernelLine()}, Node ${process.version}`);
}

async function runtimeVersion(): Promise<string | undefined> {
  try {
    const { env } = await loadRuntime();
    return env.versions.node ?? 'installed';
  } catch {
    return undefined;
  }
}

export async function doctorCommand(flags: { readonly json?: boolean }): Promise<void> {
  const native = loadNative();
  const status = nativeStatus();
  const runtime = await runtimeVersion();
  const report = {
    version: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    native: {
      loaded: native !== undefined,
      path: status.path,
      reason: status.reason,
      isa: native === undefined ? undefined : (status.isa ?? native.info().isa),
      supported: native?.info().supported ?? [],
    },
    wasm: wasmStatus(),
    onnxruntimeNode: runtime,
  };
  if (flags.json === true) {
    printJson(report);
    return;
  }
  const rows = [
    ['onnx-lathe', report.version],
    ['Node', `${report.node} on ${report.platform}`],
    ['machine', `${report.processors} processors, ${formatSize(report.memoryBytes)} of memory`],
    ['kernels', kernelLine()],
    [
      'onnxruntime-node',
      runtime ?? 'not installed; `evaluate` needs it: npm install onnxruntime-node',
    ],
  ];
  printLine(formatTable(rows));
  if (native === undefined) {
    printLine('everything works without the addon, slower; `npm run build:native` builds it');
  }
}
