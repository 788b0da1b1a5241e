/** `onnx-lathe inspect <model>`. */

import { basename } from 'node:path';
import { formatSize } from '../../bytes.ts';
import { Inspection, type InspectReport } from '../../report/inspect.ts';
import type { TableReport } from '../../report/tables.ts';
import type { Saving } from '../dry-runs.ts';
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
          `${basename(file.path)}: ${formatSize(file.byteLength)}, ${file.deadBytes} bytes unused` +
            (file.aliasedBytes > 0 ? `, ${formatSize(file.aliasedBytes)} shared` : ''),
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

/** Flags of `inspect`. */
export interface InspectFlags {
  readonly component?: string;
  readonly json?: boolean;
  /** How many of the largest tensors to list; JSON lists all. */
  readonly tensors: number | undefined;
  readonly compare?: boolean;
  readonly savings?: boolean;
}

function printSavings(savings: readonly Saving[], byteLength: number): void {
  const rows = savings.map((saving) => [
    saving.recipe,
    ...(saving.byteLength === undefined
      ? [`nothing: ${saving.reason}`]
      : [
          formatSize(saving.byteLength),
          `${((1 - saving.byteLength / byteLength) * 100).toFixed(1)} % less`,
          `${(saving.bitsPerWeight ?? 0).toFixed(1)} bits/weight`,
        ]),
  ]);
  printLine(`what each recipe makes of it:\n${formatTable(rows, [], '  ')}`);
}

/** What planning tells on top, as far as it was asked for. */
async function planned(model: string, { tie }: InspectReport, flags: InspectFlags) {
  if (flags.compare !== true && flags.savings !== true) return {};
  const { compareTables, planSavings } = await import('../dry-runs.ts');
  return {
    ...(flags.compare === true
      ? { comparison: await compareTables(model, tie, flags.component) }
      : {}),
    ...(flags.savings === true ? { savings: await planSavings(model, flags.component) } : {}),
  };
}

export async function inspectCommand(model: string, flags: InspectFlags): Promise<number> {
  using inspection = new Inspection(model, flags.component);
  const { report } = inspection;
  const more = await planned(model, report, flags);
  if (flags.json === true) {
    if (flags.tensors === undefined) printJson({ ...report, ...more });
    else {
      const { printJsonWithTensors } = await import('../tensor-output.ts');
      const kinds = inspection.kinds();
      const tensors = inspection.tensors();
      await printJsonWithTensors({ ...report, ...more, kinds }, 'tensorList', tensors);
    }
    return 0;
  }
  printReport(report, model);
  if (more.comparison !== undefined) printLine(`compared: ${more.comparison.result}`);
  if (more.savings !== undefined) printSavings(more.savings, report.byteLength);
  if (flags.tensors !== undefined) {
    const { kindTable, tensorTable } = await import('../tensor-output.ts');
    printLine(`\nby kind:\n${kindTable(inspection.kinds())}`);
    printLine(`\nlargest:\n${tensorTable(inspection.tensors(), flags.tensors)}`);
  }
  return 0;
}
