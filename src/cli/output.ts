/** What the command line says, and where: answers on stdout, everything else on stderr. */

import {
  CancelledError,
  FormatError,
  LatheError,
  PreconditionError,
  UsageError,
} from '../errors.ts';
import { printable, printableJson } from './printable.ts';
import { stderr } from './stderr.ts';

/** Version of every JSON document this tool prints; it grows when a field changes its meaning. */
export const SCHEMA_VERSION = 1;

/** Longest line on stderr, in characters: names in a model may have any length. */
const LONGEST_NOTE = 4000;

/** Prints a part of the answer, one line or a table of them. */
export function printLine(text: string): void {
  process.stdout.write(`${text.split('\n').map(printable).join('\n')}\n`);
}

/** Prints a path for programs to read: exactly as it is. */
export function printPath(path: string): void {
  process.stdout.write(`${path}\n`);
}

export function printJson(value: object): void {
  process.stdout.write(
    `${printableJson(JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...value }, undefined, 2))}\n`,
  );
}

/** Says something on stderr, always in one line. */
export function note(text: string): void {
  const line = printable(text);
  stderr().write(line.length <= LONGEST_NOTE ? `${line}\n` : `${line.slice(0, LONGEST_NOTE)}…\n`);
}

/** Exit code of an error: 2 usage, 3 format, 4 precondition, 5 resource, 130 interrupted. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CancelledError) return 130;
  if (error instanceof UsageError) return 2;
  if (error instanceof FormatError) return 3;
  if (error instanceof PreconditionError) return 4;
  return 5;
}

/** Reports an error: one line, and one with the fix when it is known; JSON when asked for. Returns the exit code. */
export function reportError(error: unknown, json: boolean): number {
  const known = error instanceof LatheError;
  const message = error instanceof Error ? error.message : String(error);
  const code = known ? error.code : 'ERR_INTERNAL';
  const hint = known
    ? error.hint
    : 'this is a defect of onnx-lathe; run again with DEBUG=onnx-lathe for the stack and report it';
  if (json) {
    const report = { error: { code, message, ...(hint === undefined ? {} : { hint }) } };
    stderr().write(`${printableJson(JSON.stringify(report))}\n`);
  } else {
    note(`onnx-lathe: ${message}`);
    if (hint !== undefined) note(`  ${hint}`);
  }
  if (process.env['DEBUG']?.includes('onnx-lathe') && error instanceof Error) {
    for (const line of (error.stack ?? '').split('\n')) note(line);
  }
  return exitCodeOf(error);
}
