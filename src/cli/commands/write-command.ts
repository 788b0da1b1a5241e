/** What `shrink`, `apply` and `repack` share: running a recipe and reporting on it. */

import { basename, relative } from 'node:path';
import { formatSize } from '../../bytes.ts';
import { dtypeLabel } from '../../dtypes.ts';
import { UsageError } from '../../errors.ts';
import type { Recipe } from '../../recipes/recipe.ts';
import { runRecipe } from '../../recipes/run-recipe.ts';
import type { RunReport } from '../../recipes/run-report.ts';
import { errorSummary, errorTable } from '../error-output.ts';
import { interruptible } from '../interruptible.ts';
import { note, printLine, printPath } from '../output.ts';
import { progressDisplay } from '../progress.ts';
import type { WriteFlags } from '../shared-flags.ts';
import { formatTable, plural } from '../table.ts';
import { printJsonWithTensors } from '../tensor-output.ts';

const PHASES = { comparing: 'comparing tables', writing: 'writing' } as const;

function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** The last line of a successful run. */
function summary(report: RunReport): string {
  const from = `${basename(report.input.path)} (${formatSize(report.input.byteLength)})`;
  const bits = report.weights === 0 ? '' : `, ${report.bitsPerWeight.toFixed(1)} bits/weight`;
  const output = report.output.path ?? 'a new directory';
  const shown = relative('', output);
  const path = shown.startsWith('..') || shown === '' ? output : shown;
  const to = `${path} (${formatSize(report.output.byteLength)}${bits})`;
  if (report.dryRun) return `${from} → ${to}; dry run, nothing was written`;
  return `${from} → ${to} in ${formatSeconds(report.seconds)}, peak ${formatSize(report.peakRssBytes)}`;
}

/** Declines grouped by reason, so that thirty layers with one reason are one line. */
function declineLines(report: RunReport, verbose: boolean): string[] {
  const lines: string[] = [];
  for (const { surgery, declined } of report.steps) {
    const byReason = new Map<string, string[]>();
    for (const { node, reason } of declined) {
      byReason.set(reason, [...(byReason.get(reason) ?? []), node]);
    }
    for (const [reason, nodes] of byReason) {
      const shown = verbose ? nodes.join(', ') : (nodes[0] ?? '');
      const more = verbose || nodes.length === 1 ? '' : ` and ${nodes.length - 1} more`;
      lines.push(`${surgery}: left ${shown}${more}: ${reason}`);
    }
  }
  return lines;
}

function tensorTable(report: RunReport): string {
  const rows: string[][] = [];
  for (const tensor of report.tensors) {
    if (tensor.placement !== 'external' && tensor.placement !== 'embedded') continue;
    rows.push([
      tensor.isDerived ? 'made' : 'copied',
      dtypeLabel(tensor.dtype),
      `[${tensor.dims.join(', ')}]`,
      String(tensor.byteLength),
      tensor.name,
    ]);
  }
  return formatTable(rows, ['left', 'left', 'left', 'right', 'left'], '  ');
}

function printReport(report: RunReport, flags: WriteFlags): void {
  for (const { surgery, changes } of report.steps) {
    const [first] = changes;
    if (first === undefined) continue;
    const more = changes.length === 1 ? '' : ` and ${changes.length - 1} more`;
    note(`${surgery}: ${first.node}${more}: ${first.what}`);
    if (flags.verbose === true) {
      for (const { node, what } of changes.slice(1)) note(`${surgery}: ${node}: ${what}`);
    }
  }
  for (const line of declineLines(report, flags.verbose === true)) note(line);
  for (const warning of report.warnings) note(`warning: ${warning}`);
  for (const file of report.output.removed) {
    note(report.dryRun ? `${file} would be removed` : `${file} was removed`);
  }
  if (report.sharedBytes > 0) {
    note(`${formatSize(report.sharedBytes)} of the output share the disk blocks of the input`);
  }
  if (flags.verbose === true && report.errors.length > 0) {
    for (const line of errorTable(report.errors).split('\n')) note(line);
  }
  const error = errorSummary(report.errors);
  if (error !== undefined) note(error);
  if (flags.verbose === true) {
    for (const { name, reason } of report.skipped) note(`not copied: ${name}: ${reason}`);
  }
  if (report.dryRun && report.changed) {
    if (flags.verbose === true) printLine(tensorTable(report));
    const rows = report.output.files.map((file) => [
      file.name,
      `${file.byteLength} bytes`,
      formatSize(file.byteLength),
    ]);
    printLine(formatTable(rows, ['left', 'right', 'right']));
    if (report.aliases > 0)
      printLine(
        `${plural(report.aliases, 'tensor')} ${report.aliases === 1 ? 'shares' : 'share'} the bytes of another`,
      );
    const disk = report.freeDiskBytes;
    if (disk !== undefined) printLine(`free on that disk: ${formatSize(disk)}`);
    printLine(`memory: ${formatSize(report.memoryBytes)} for buffers, Node and the graph on top`);
    if (report.assets.length > 0) printLine(`also copied: ${report.assets.join(', ')}`);
  }
}

/**
 * Runs `recipe` on `model` as the flags say and reports on it. Returns the exit code: 0, 1 when nothing changed, 130
 * or 143 when interrupted. Throws what `runRecipe` throws.
 */
export async function runWriteCommand(
  model: string,
  recipe: Recipe,
  flags: WriteFlags,
): Promise<number> {
  if (flags.output !== undefined && flags.inPlace === true) {
    throw new UsageError('ERR_OPTION', '-o and --in-place exclude each other');
  }
  if (flags.output === undefined && flags.inPlace !== true && flags.dryRun !== true) {
    throw new UsageError('ERR_OPTION', 'no output was given', {
      hint: 'add -o DIR, --in-place, or -n to see the plan without writing',
    });
  }
  return interruptible(flags.json === true, (signal) => runAndReport(model, recipe, flags, signal));
}

async function runAndReport(
  model: string,
  recipe: Recipe,
  flags: WriteFlags,
  signal: AbortSignal,
): Promise<number> {
  const quiet = flags.quiet === true || flags.json === true;
  const display = progressDisplay(quiet && flags.progress === 'auto' ? 'none' : flags.progress);
  try {
    const report = await runRecipe(model, recipe, {
      component: flags.component,
      output: flags.output,
      inPlace: flags.inPlace,
      force: flags.force,
      dryRun: flags.dryRun,
      sync: flags.sync,
      assets: flags.assets,
      memoryBytes: flags.memory,
      threads: flags.threads,
      io: flags.io,
      measured: flags.verbose === true || flags.json === true,
      signal,
      onProgress: (phase, done, total) => display.update(PHASES[phase], done, total),
    });
    display.finish();
    if (flags.json === true) {
      const { tensors, ...rest } = report;
      await printJsonWithTensors(rest, 'tensors', tensors);
    } else if (flags.quiet !== true) printReport(report, flags);
    if (!report.changed) {
      const why = recipe.layout === undefined ? 'nothing changed' : 'nothing to do';
      if (flags.json !== true) note(`${why}, nothing was written`);
      return 1;
    }
    if (flags.json === true) return 0;
    if (flags.quiet !== true) printLine(summary(report));
    else if (report.output.path !== undefined) printPath(report.output.path);
    return 0;
  } finally {
    display.finish();
  }
}
