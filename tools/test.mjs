/**
 * Runs the tests after installing and building what is missing or out of date. Arguments are those of vitest:
 *
 *   npm test                           everything
 *   npm test -- test/proto -t varint   a folder, and in it the tests whose name matches
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureAddon, ensureDist, ensureInstalled, ensureKeptCode, root } from './setup.mjs';

try {
  ensureInstalled();
  ensureDist();
  ensureAddon();
  ensureKeptCode();
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
  });
  child.on('close', (code) => {
    process.exitCode = code ?? 1;
  });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
