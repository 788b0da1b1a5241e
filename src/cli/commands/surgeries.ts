/** `onnx-lathe surgeries [name]`: the list, or one surgery with its options. */

import { findSurgery, SURGERIES } from '../../surgeries/index.ts';
import type { Surgery } from '../../surgeries/surgery.ts';
import { kebabCase } from '../option-flags.ts';
import { printJson, printLine } from '../output.ts';
import { formatTable } from '../table.ts';

function defaultText(value: unknown): string {
  if (value === undefined) return ' (must be given)';
  return Array.isArray(value) ? '' : ` (default ${String(value)})`;
}

function describe(surgery: Surgery): object {
  const options = Object.entries(surgery.options).map(([name, spec]) => ({
    name,
    argument: spec.argument,
    default: spec.default,
    help: spec.help,
  }));
  return { name: surgery.name, aliases: surgery.aliases, summary: surgery.summary, options };
}

export function surgeriesCommand(
  name: string | undefined,
  flags: { readonly json?: boolean },
): void {
  const chosen = name === undefined ? SURGERIES : [findSurgery(name)];
  if (flags.json === true) {
    printJson({ surgeries: chosen.map(describe) });
    return;
  }
  if (name === undefined) {
    printLine(formatTable(chosen.map((surgery) => [surgery.name, surgery.summary])));
    return;
  }
  for (const surgery of chosen) {
    printLine(`${surgery.name}: ${surgery.summary}`);
    if (surgery.aliases.length > 0) printLine(`also known as ${surgery.aliases.join(', ')}`);
    const rows = Object.entries(surgery.options).map(([option, spec]) => [
      `${kebabCase(option)}=${spec.argument}`,
      `${spec.help}${defaultText(spec.default)}`,
    ]);
    if (rows.length > 0) printLine(formatTable(rows, [], '  '));
  }
}
