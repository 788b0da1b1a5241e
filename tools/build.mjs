/**
 * Builds the addon and dist, installing the packages first if they are missing.
 *
 *   node tools/build.mjs              compiles dist again even if nothing changed
 *   node tools/build.mjs --if-stale   does only what is missing or out of date
 *   node tools/build.mjs --strict     fails where the addon cannot be built, and on compiler warnings
 */
import { ensureAddon, ensureDist, ensureInstalled, ensureKeptCode } from './setup.mjs';

const known = ['--if-stale', '--strict'];
const options = process.argv.slice(2);
try {
  const unknown = options.find((option) => !known.includes(option));
  if (unknown !== undefined) throw new Error(`unknown option ${unknown}: use ${known.join(', ')}`);
  ensureInstalled();
  ensureDist({ force: !options.includes('--if-stale') });
  ensureAddon({ strict: options.includes('--strict') });
  ensureKeptCode();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
