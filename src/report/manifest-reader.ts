/** Reading digest manifests, one line at a time. */

import { closeSync, openSync, readSync } from 'node:fs';
import { isSize, MIB } from '../bytes.ts';
import { FormatError, fromSystemError } from '../errors.ts';
import {
  MANIFEST_KIND,
  MANIFEST_VERSION,
  type ManifestEntry,
  type ModelDigest,
} from './manifest.ts';

/** Longest line that is read. Names may have any length, but not every length. */
const LONGEST_LINE_BYTES = 8 * MIB;

/** Bytes that are read at once. */
const CHUNK_BYTES = 65_536;

const HINT = 'give a file that check --digest wrote, or --force to write it anew';

function refuse(path: string, number: number, cause?: unknown): FormatError {
  const message = `${path}: line ${number} is not one of a digest manifest`;
  return new FormatError('ERR_UNSUPPORTED', message, { hint: HINT, cause });
}

/** The lines of a file, without their ends. Memory: one read, or one long line. */
function* readLines(path: string): Generator<string> {
  const fd = openSync(path, 'r');
  try {
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    let number = 1;
    let rest = Buffer.alloc(0);
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
      const read = Buffer.concat([rest, chunk.subarray(0, length)]);
      let start = 0;
      for (let end = read.indexOf(10); end >= 0; end = read.indexOf(10, start)) {
        yield read.toString('utf8', start, end);
        start = end + 1;
        number++;
      }
      rest = read.subarray(start);
      if (rest.length > LONGEST_LINE_BYTES) throw refuse(path, number);
    }
    if (rest.length > 0) yield rest.toString();
  } catch (error) {
    throw fromSystemError(error, `reading ${path}`);
  } finally {
    closeSync(fd);
  }
}

function parseLine(line: string): Readonly<Record<string, unknown>> {
  const parsed: unknown = JSON.parse(line);
  if (typeof parsed !== 'object' || parsed === null) throw new TypeError('not an object');
  return parsed as Record<string, unknown>;
}

function isDigest(sha256: unknown): sha256 is string {
  return typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
}

function entryOf({ name, byteLength, sha256 }: Readonly<Record<string, unknown>>): ManifestEntry {
  const isEntry = typeof name === 'string' && isSize(byteLength as number) && isDigest(sha256);
  if (!isEntry) throw new TypeError('not a digest');
  return { name, byteLength: byteLength as number, sha256 };
}

/** A manifest that is being read. */
export interface OpenManifest extends Disposable {
  readonly model: ModelDigest;
  /** In the order of the file. Throws a FormatError for a line that is none, and at the end when lines are missing. */
  readonly entries: Iterable<ManifestEntry>;
}

function headOf(path: string, line: string): ModelDigest {
  let head: Readonly<Record<string, unknown>>;
  let model: ManifestEntry;
  try {
    head = parseLine(line);
    if (head['kind'] !== MANIFEST_KIND) throw new TypeError('another kind of file');
    model = entryOf(head['model'] as Readonly<Record<string, unknown>>);
  } catch (cause) {
    throw refuse(path, 1, cause);
  }
  if (head['schemaVersion'] === MANIFEST_VERSION) return model;
  const message = `${path}: a digest manifest of version ${JSON.stringify(head['schemaVersion'])}, not ${MANIFEST_VERSION}`;
  throw new FormatError('ERR_UNSUPPORTED', message, { hint: HINT });
}

function* entriesOf(path: string, lines: Iterable<string>): Generator<ManifestEntry> {
  let tensors = 0;
  let total: unknown;
  for (const line of lines) {
    let entry: ManifestEntry | undefined;
    try {
      if (total !== undefined) throw new TypeError('a line after the last');
      const parsed = parseLine(line);
      total = parsed['tensors'];
      if (total === undefined) entry = entryOf(parsed);
    } catch (cause) {
      throw refuse(path, tensors + (total === undefined ? 2 : 3), cause);
    }
    if (entry === undefined) continue;
    tensors++;
    yield entry;
  }
  if (total === tensors) return;
  const message = `${path}: the manifest ends after ${tensors} tensors`;
  throw new FormatError('ERR_TRUNCATED', message, { hint: HINT });
}

/** Reads the first line of a manifest. Throws a FormatError for another file, and a ResourceError. */
export function openManifest(path: string): OpenManifest {
  const lines = readLines(path);
  const close = () => lines.return(undefined);
  try {
    const { value: line } = lines.next();
    const model = headOf(path, line ?? '');
    return { model, entries: entriesOf(path, lines), [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}
