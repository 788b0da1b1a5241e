/** `onnx-lathe check <model>`. */

import { formatSize } from '../../bytes.ts';
import { UsageError } from '../../errors.ts';
import { type CheckReport, checkModel } from '../../report/check.ts';
import type { DigestOptions, DigestReport } from '../../report/digest.ts';
import type { Finding, Place, Severity } from '../../report/findings.ts';
import { interruptibleLater } from '../interruptible.ts';
import { note, printJson, printLine } from '../output.ts';
import { type ProgressMode, progressDisplay } from '../progress.ts';
import { formatTable } from '../table.ts';

/** Flags of `check`. */
export interface CheckFlags {
  readonly component?: string;
  readonly digest?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly progress: ProgressMode;
}

/** Findings of one kind that are shown; JSON has them all. */
const SHOWN_PER_CODE = 20;

const HEADINGS: readonly (readonly [Severity, string])[] = [
  ['error', 'errors'],
  ['warning', 'warnings'],
  ['note', 'notes'],
];

/** `3,214 nodes`, `1 node`. */
function counted(count: number, noun: string): string {
  const digits = String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
  return `${digits} ${noun}${count === 1 ? '' : 's'}`;
}

function placeText({ file, graph, node, tensor, value }: Place): string {
  return [
    ...(graph === undefined ? [] : [`in ${graph}`]),
    ...(node === undefined ? [] : [`node ${node}`]),
    ...(tensor === undefined ? [] : [`tensor ${tensor}`]),
    ...(value === undefined ? [] : [`value ${value}`]),
    ...(file === undefined ? [] : [file]),
  ].join(', ');
}

function row({ code, where, message, count }: Finding): string[] {
  const place = placeText(where);
  const times = count > 1 ? ` (and ${count - 1} more)` : '';
  return [code, place === '' ? 'model' : place, `${message}${times}`];
}

/** Rows of a severity, its kinds together, each up to a number. */
function rowsOf(findings: readonly Finding[], severity: Severity): string[][] {
  const byCode = new Map<string, Finding[]>();
  for (const finding of findings) {
    if (finding.severity !== severity) continue;
    byCode.set(finding.code, [...(byCode.get(finding.code) ?? []), finding]);
  }
  return [...byCode].flatMap(([code, ofCode]) => {
    const more = ofCode.length - SHOWN_PER_CODE;
    const rest = more > 0 ? [[code, '', `and ${more} more; --json lists them`]] : [];
    return [...ofCode.slice(0, SHOWN_PER_CODE).map(row), ...rest];
  });
}

function digestText({ path, action, tensors, byteLength }: DigestReport): string {
  const what = `the digests of ${counted(tensors, 'tensor')} (${formatSize(byteLength)} read)`;
  return action === 'written' ? `${path} has ${what}` : `compared ${what} with ${path}`;
}

function summary({ counts, checked }: CheckReport): string {
  const { errors, warnings } = counts;
  const found = [
    ...(errors > 0 ? [counted(errors, 'error')] : []),
    ...(warnings > 0 ? [counted(warnings, 'warning')] : []),
  ];
  const { nodes, tensors, files } = checked;
  const of = [counted(nodes, 'node'), counted(tensors, 'tensor'), counted(files, 'file')];
  return `${found.length > 0 ? found.join(', ') : 'no findings'} in ${of.join(', ')}`;
}

function printReport(report: CheckReport): void {
  const { findings, counts, digest } = report;
  for (const [severity, heading] of HEADINGS) {
    const rows = rowsOf(findings, severity);
    if (rows.length > 0) printLine(`${heading}:\n${formatTable(rows, [], '  ')}`);
  }
  if (counts.notListed > 0) printLine(`${counted(counts.notListed, 'finding')} more`);
  if (digest !== undefined && digest.action !== 'refused') printLine(digestText(digest));
  printLine(summary(report));
}

/**
 * Checks a model. Returns the exit code: 0, 1 when there are errors or warnings, 130 or 143 when digests were interrupted.
 * Throws what `checkModel` throws.
 */
export async function checkCommand(model: string, flags: CheckFlags): Promise<number> {
  if (flags.force === true && flags.digest === undefined) {
    throw new UsageError('ERR_OPTION', '--force has no meaning without --digest');
  }
  if (flags.digest === undefined) return runCheck(model, flags);
  const { digest: path, force } = flags;
  return interruptibleLater(flags.json === true, (signal, onStart) =>
    runCheck(model, flags, { path, force, signal, onStart }),
  );
}

async function runCheck(model: string, flags: CheckFlags, digest?: DigestOptions): Promise<number> {
  const isQuiet = flags.json === true && flags.progress === 'auto';
  const display = progressDisplay(isQuiet ? 'none' : flags.progress);
  const onProgress = (done: number, total: number) => display.update('reading', done, total);
  try {
    const report = await checkModel(model, {
      component: flags.component,
      ...(digest && { digest: { ...digest, onProgress } }),
    });
    display.finish();
    if (flags.json === true) printJson(report);
    else printReport(report);
    if (report.digest?.action === 'refused') {
      note(`${report.digest.path} was not written: not all tensors can be read`);
    }
    return report.counts.errors + report.counts.warnings > 0 ? 1 : 0;
  } finally {
    display.finish();
  }
}
