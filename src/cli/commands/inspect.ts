/** `onnx-lathe inspect <model>`: the short form. */

import { basename } from 'node:path';
import { formatSize } from '../../bytes.ts';
import { type InspectReport, inspectModel, type TableReport } from '../../report/inspect.ts';
import { note, printJson, printLine } from '../output.ts';
import { formatTable, plural } from '../table.ts';

function tableLine(role: string, table: TableReport | undefined): string[] {
  if (table === undefined) return [role, 'none found'];
  const { rows, columns, storage, byteLength, tensor } = table;
  return [role, `${tensor} [${rows}, ${columns}] ${storage}, ${formatSize(byteLength)}`];
}

/** `path` as one word of a shell's command line. */
function shellWord(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

function advice(report: InspectReport): string | undefined {
  const isFloat = (table: TableReport | undefined) =>
    table !== undefined && /^(fp|bf)/.test(table.storage);
  if (report.operators['MatMul'] === undefined && report.operators['Gemm'] === undefined) {
    return isFloat(report.embedding)
      ? 'onnx-lathe shrink <model> -o DIR --recipe int8-embedding'
      : undefined;
  }
  return isFloat(report.head) || isFloat(report.embedding) || report.head === undefined
    ? 'onnx-lathe shrink <model> -o DIR'
    : undefined;
}

function printReport(report: InspectReport, model: string): void {
  const opsets = Object.entries(report.opsets).map(([domain, version]) => `${domain} ${version}`);
  printLine(
    formatTable([
      ['model', `${report.path} (${formatSize(report.byteLength)})`],
      [
        'written by',
        `${report.producer || 'unknown'}; IR ${report.irVersion}, ${opsets.join(', ')}`,
      ],
      [
        'graph',
        `${plural(report.nodes, 'node')}, ${plural(report.tensors, 'tensor')}` +
          (report.layers > 0 ? `, ${plural(report.layers, 'layer')} with state` : ''),
      ],
      ['weights', `${report.weights} (${report.bitsPerWeight.toFixed(1)} bits each)`],
      ...report.types
        .slice(0, 6)
        .map((use) => [
          '',
          `${use.dtype}: ${plural(use.tensors, 'tensor')}, ${formatSize(use.byteLength)}`,
        ]),
      tableLine('embedding', report.embedding),
      tableLine('head', report.head),
      ['tied', report.tie],
      ...report.files
        .slice(1)
        .map((file) => [
          'data',
          `${basename(file.path)}: ${formatSize(file.byteLength)}, ${file.deadBytes} bytes unused`,
        ]),
    ]),
  );
  const next = advice(report);
  if (next !== undefined)
    printLine(`to shrink it: ${next.replace('<model>', () => shellWord(model))}`);
  for (const warning of report.warnings) note(`warning: ${warning}`);
  if (report.otherModels.length > 0) {
    note(`other models of the package: ${report.otherModels.join(', ')}`);
  }
}

export function inspectCommand(
  model: string,
  flags: { readonly component?: string; readonly json?: boolean },
): number {
  const report = inspectModel(model, flags.component);
  if (flags.json === true) printJson(report);
  else printReport(report, model);
  return 0;
}
