/**
 * Digest manifests: JSON, one document a line. The first line says of what model, each further one is a tensor, the
 * last one counts them: a manifest that was cut off shows. Lines are written and read one at a time, a million of
 * them in no memory, and without a parser that finds its way through one large document.
 */

import { randomBytes } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fromSystemError, hasErrno, UsageError } from '../errors.ts';
import { lstatIfPresent } from '../external-data/directory-entries.ts';
import type { DigestEntry } from './digest-entries.ts';

/** Grows when a field changes its meaning. */
export const MANIFEST_VERSION = 1;

/** What the first line is. */
export const MANIFEST_KIND = 'onnx-lathe digests';

/** Characters that are written at once. */
const CHUNK_CHARACTERS = 65_536;

/** The `.onnx` of a manifest. */
export interface ModelDigest {
  readonly name: string;
  readonly byteLength: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** What a manifest says of a tensor, as far as it is compared. */
export type ManifestEntry = Pick<DigestEntry, 'name' | 'byteLength' | 'sha256'>;

function* linesOf(model: ModelDigest, entries: Iterable<DigestEntry>): Generator<string> {
  yield JSON.stringify({ kind: MANIFEST_KIND, schemaVersion: MANIFEST_VERSION, model });
  let tensors = 0;
  for (const entry of entries) {
    tensors++;
    yield JSON.stringify(entry);
  }
  yield JSON.stringify({ tensors });
}

async function writeLines(path: string, lines: Iterable<string>): Promise<void> {
  await using file = await open(path, 'wx');
  let chunk = '';
  for (const line of lines) {
    chunk += `${line}\n`;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    await file.writeFile(chunk);
    chunk = '';
  }
  await file.writeFile(chunk);
  await file.sync();
}

/** Gives a file its name. Without `force` a file that has the name by now stays. */
async function place(from: string, to: string, force: boolean): Promise<void> {
  if (!force) {
    try {
      await link(from, to);
      await rm(from);
      return;
    } catch (error) {
      // Some file systems have no links; there a moment is left between the look and the rename.
      const hasLinks = !hasErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK');
      if (hasLinks && !hasErrno(error, 'EEXIST')) throw error;
      if (hasLinks || lstatIfPresent(to) !== undefined) {
        throw new UsageError('ERR_OUTPUT_EXISTS', `${to} exists by now`, {
          hint: 'run again to verify against it, or with --force to replace it',
        });
      }
    }
  }
  await rename(from, to);
}

/** Writes a manifest, which appears under its name when it is complete. Throws a UsageError or ResourceError. */
export async function writeManifest(
  path: string,
  model: ModelDigest,
  entries: Iterable<DigestEntry>,
  force: boolean,
): Promise<void> {
  const random = randomBytes(6).toString('hex');
  const staged = join(dirname(path), `.${basename(path).slice(0, 48)}.${random}`);
  try {
    await writeLines(staged, linesOf(model, entries));
    await place(staged, path, force);
  } catch (error) {
    await rm(staged, { force: true });
    throw fromSystemError(error, `writing ${path}`);
  }
}
