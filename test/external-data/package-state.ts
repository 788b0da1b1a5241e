import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** A stand-in for a model: the `.onnx` names its data file and knows what must be in it. */
export function writePackage(
  directory: string,
  name: string,
  version: string,
  dataName: string,
): void {
  const weights = `weights of ${version}`;
  const digest = createHash('sha256').update(weights).digest('hex');
  mkdirSync(dirname(join(directory, dataName)), { recursive: true });
  writeFileSync(join(directory, dataName), weights);
  writeFileSync(join(directory, name), JSON.stringify({ version, dataName, digest }));
}

/** Version of the model at `path` when it and its data are whole, `none` when there is no model, else `broken`. */
export function versionOf(path: string): string {
  if (!existsSync(path)) return 'none';
  const { version, dataName, digest } = JSON.parse(readFileSync(path, 'utf8')) as Record<
    string,
    string
  >;
  const data = join(dirname(path), dataName ?? '');
  if (!existsSync(data)) return 'broken';
  const actual = createHash('sha256').update(readFileSync(data)).digest('hex');
  return actual === digest ? (version ?? '') : 'broken';
}

/** Everything below `directory`, sorted. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
}

/** What `renameat2` does in one step, in three: between the steps of a commit nobody can tell. */
export function exchangeByRenames(a: string, b: string): void {
  renameSync(a, `${a}.aside`);
  renameSync(b, a);
  renameSync(`${a}.aside`, b);
}
