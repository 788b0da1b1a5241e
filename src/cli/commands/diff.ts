/** `onnx-lathe diff <a> <b>`. */

import { availableParallelism } from 'node:os';
import { formatSize } from '../../bytes.ts';
import { type DiffReport, diffModels, type TensorDiff } from '../../report/diff.ts';
import type { ChangedNode, Difference, NodeName } from '../../report/diff-graph.ts';
import { errorSummary, errorTable } from '../error-output.ts';
import { interruptible } from '../interruptible.ts';
import { printJson, printLine } from '../output.ts';
import { progressDisplay } from '../progress.ts';
import { formatTable, plural } from '../table.ts';

/** Flags of `diff`. */
export interface DiffFlags {
  readonly component?: string;
  readonly memory: number;
  readonly threads?: number;
  readonly io: 'auto' | 'mmap' | 'pread';
  readonly json?: boolean;
  readonly progress: 'auto' | 'plain' | 'json' | 'none';
}

/** Differences of one kind that are listed for people. */
const SHOWN = 20;

/** The first lines of a list under a heading, and how many more there are. */
function printList(heading: string, rows: readonly (readonly string[])[]): void {
  if (rows.length === 0) return;
  const more = rows.length - SHOWN;
  const shown = formatTable(rows.slice(0, SHOWN), [], '  ');
  const rest = more > 0 ? `\n  and ${more} more; --json lists them` : '';
  printLine(`${heading}:\n${shown}${rest}`);
}

function differenceRows(differences: readonly Difference[]): string[][] {
  return differences.map(({ name, a, b }) => [name, a ?? 'not there', '→', b ?? 'not there']);
}

function nodeRows(nodes: readonly NodeName[]): string[][] {
  return nodes.map(({ operator, name }) => [operator, name]);
}

/** Nodes that changed alike in one line: thirty products that were quantized are one change. */
function changeRows(nodes: readonly ChangedNode[]): string[][] {
  const alike = new Map<string, string[]>();
  for (const { name, operatorA, operatorB, what } of nodes) {
    const operators = operatorA === operatorB ? operatorA : `${operatorA} → ${operatorB}`;
    const change = `${operators}: ${what.join(', ')}`;
    alike.set(change, [...(alike.get(change) ?? []), name]);
  }
  return Array.from(alike, ([change, names]) => {
    const more = names.length === 1 ? '' : ` and ${names.length - 1} more`;
    return [change, `${names[0]}${more}`];
  });
}

function printGraph({ graph }: DiffReport): void {
  printList('versions', differenceRows(graph.versions));
  printList('metadata', differenceRows(graph.metadata));
  printList('inputs', differenceRows(graph.inputs));
  printList('outputs', differenceRows(graph.outputs));
  printList('operators', differenceRows(graph.operators));
  printList('nodes of a alone', nodeRows(graph.nodesOnlyInA));
  printList('nodes of b alone', nodeRows(graph.nodesOnlyInB));
  printList('nodes that changed', changeRows(graph.changedNodes));
}

/** Measured tensors, each with how both models store it. */
function measuredOf(tensors: readonly TensorDiff[]) {
  return tensors.flatMap(({ a, storedA, storedB, error }) =>
    error === undefined ? [] : [{ ...error, tensor: a, note: `${storedA} → ${storedB}` }],
  );
}

function printTensors({ tensors, onlyInA, onlyInB }: DiffReport): void {
  const measured = measuredOf(tensors);
  if (measured.length > 0) printLine(`tensors:\n${errorTable(measured, '  ')}`);
  printList(
    'tensors that cannot be measured',
    tensors
      .filter(({ error }) => error === undefined)
      .map(({ a, storedA, storedB }) => [a, storedA, '→', storedB]),
  );
  printList(
    'tensors of a alone',
    onlyInA.map((name) => [name]),
  );
  printList(
    'tensors of b alone',
    onlyInB.map((name) => [name]),
  );
}

function summary(report: DiffReport): string {
  const { a, b, same, tensors, sameTensors } = report;
  const sizes = `${formatSize(a.byteLength)} and ${formatSize(b.byteLength)}`;
  if (same) return `the same: ${plural(sameTensors, 'tensor')} compared, ${sizes}`;
  const verb = tensors.length === 1 ? 'differs' : 'differ';
  const counts = `${plural(tensors.length, 'tensor')} ${verb}, ${sameTensors} the same`;
  return `different: ${counts}, ${sizes}`;
}

/**
 * Compares two models. Returns the exit code: 0 when they are the same, 1 when they differ, 130 or 143 when
 * interrupted. Throws what `diffModels` throws.
 */
export function diffCommand(a: string, b: string, flags: DiffFlags): Promise<number> {
  return interruptible(flags.json === true, async (signal) => {
    const isQuiet = flags.json === true && flags.progress === 'auto';
    const display = progressDisplay(isQuiet ? 'none' : flags.progress);
    try {
      const report = await diffModels(a, b, {
        component: flags.component,
        memoryBytes: flags.memory,
        threads: flags.threads ?? availableParallelism(),
        io: flags.io,
        signal,
        onProgress: (done, total) => display.update('reading', done, total),
      });
      display.finish();
      if (flags.json === true) printJson(report);
      else {
        printGraph(report);
        printTensors(report);
        const error = errorSummary(measuredOf(report.tensors));
        if (error !== undefined) printLine(error);
        printLine(summary(report));
      }
      return report.same ? 0 : 1;
    } finally {
      display.finish();
    }
  });
}
