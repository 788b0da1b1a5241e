import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { LatheError } from '../../src/errors.ts';

/** A fresh directory for each test of the file, removed afterwards. */
export interface Workspace {
  /** Absolute path below the workspace. */
  path(...names: string[]): string;
  /** Writes a file, with its directories; returns its path. */
  write(name: string, content?: string | Uint8Array): string;
}

export function useWorkspace(): Workspace {
  let root = '';
  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-')));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  return {
    path: (...names) => join(root, ...names),
    write(name, content = name) {
      const path = join(root, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
      return path;
    },
  };
}

/** The error of the library that `body` throws. */
export async function failure(body: () => unknown): Promise<LatheError> {
  try {
    await body();
  } catch (error) {
    if (error instanceof LatheError) {
      expect(error.message).not.toContain('\n');
      return error;
    }
    throw error;
  }
  throw new Error('nothing was thrown');
}
