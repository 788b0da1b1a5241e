import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

function fingerprint(path: string): string {
  const stats = lstatSync(path);
  if (stats.isSymbolicLink()) return `link to ${readlinkSync(path)}`;
  if (stats.isDirectory()) return 'directory';
  if (!stats.isFile()) return 'special';
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Everything below `directory`, hidden entries too, with what each one holds. */
export function snapshot(directory: string): Readonly<Record<string, string>> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(names.map((name) => [name, fingerprint(join(directory, name))]));
}
