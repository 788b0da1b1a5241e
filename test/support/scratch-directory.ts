/** A directory of its own for each test of a file. */

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';

/** Returns a function that joins names to the directory of the running test; it is removed afterwards. */
export function useScratchDirectory(): (...names: string[]) => string {
  let root = '';
  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-')));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  return (...names) => join(root, ...names);
}
