/** stderr, opened when something is said: Node loads its sockets for a pipe, which takes as long as reading a graph. */

import { fstatSync } from 'node:fs';

let isGuarded = false;

/** The stream. That nobody listens (`2>&1 | head`) is no error of ours: the work goes on. */
export function stderr(): NodeJS.WriteStream {
  if (!isGuarded) {
    isGuarded = true;
    process.stderr.on('error', () => undefined);
  }
  return process.stderr;
}

/** Whether stderr is a terminal. Asking a pipe or a file does not open it. */
export function isTerminal(): boolean {
  try {
    return fstatSync(2).isCharacterDevice() && stderr().isTTY === true;
  } catch {
    // It is closed.
    return false;
  }
}
