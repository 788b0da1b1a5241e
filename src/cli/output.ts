/** What the command line says, and where: answers on stdout, everything else on stderr. */

import {
  CancelledError,
  FormatError,
  LatheError,
  PreconditionError,
  UsageError,
} from '../errors.ts';

/** Version of every JSON document this tool prints; it grows when a field changes its meaning. */
export const SCHEMA_VERSION = 1;

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: object): void {
  printLine(JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...value }, undefined, 2));
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Exit code of an error: 2 usage, 3 format, 4 precondition, 5 resource, 130 interrupted. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CancelledError) return 130;
  if (error instanceof UsageError) return 2;
  if (error instanceof FormatError) return 3;
  if (error instanceof PreconditionError) return 4;
  return 5;
}

/** Control characters from a model's names must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (character) =>
    character === '\n' ? ' ' : `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  );
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
    note(JSON.stringify({ error: { code, message, ...(hint === undefined ? {} : { hint }) } }));
  } else {
    note(`onnx-lathe: ${printable(message)}`);
    if (hint !== undefined) note(`  ${printable(hint)}`);
  }
  if (process.env['DEBUG']?.includes('onnx-lathe') && error instanceof Error) {
    note(error.stack ?? '');
  }
  return exitCodeOf(error);
}
