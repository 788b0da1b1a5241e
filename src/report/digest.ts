/** Digests of a model's bytes: written to a manifest, or compared with one. */

import { accessSync, constants } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { CancelledError, fromSystemError, UsageError } from '../errors.ts';
import { lstatIfPresent, statIfReachable } from '../external-data/directory-entries.ts';
import type { OpenedFiles } from '../external-data/open-files.ts';
import type { DecodedModel } from '../proto/codec.ts';
import type { CheckedTensors } from './check-data.ts';
import { Comparison, differs } from './digest-comparison.ts';
import { type DigestEntry, digestEntries, type UnreadableEntry } from './digest-entries.ts';
import type { Findings } from './findings.ts';
import { hashRange, hashRanges } from './hash-ranges.ts';
import { type ModelDigest, writeManifest } from './manifest.ts';
import { openManifest } from './manifest-reader.ts';
import { TensorSource } from './tensor-ranges.ts';

/** Where digests are kept, and what becomes of older ones. */
export interface DigestOptions {
  /** Path of the manifest: written where there is none, else compared with the model. */
  readonly path: string;
  /** Write it even where there is one. */
  readonly force?: boolean | undefined;
  /** Called when the graph has been checked, before bytes are read and anything is written. */
  readonly onStart?: (() => void) | undefined;
  /** Called while bytes are read. */
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
  /** When it is aborted a CancelledError is thrown, and the manifest stays as it was. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of the manifest. */
export interface DigestReport {
  readonly path: string;
  /** `refused`: not written, because there are tensors whose bytes cannot be read. */
  readonly action: 'written' | 'compared' | 'refused';
  readonly tensors: number;
  /** Bytes that were read and hashed. */
  readonly byteLength: number;
}

/**
 * Whether the manifest is there to be compared with. Refuses what a manifest can neither be nor become, before
 * gigabytes are read for it. Throws a UsageError or ResourceError.
 */
export function checkManifestPath({ path, force }: DigestOptions): 'compare' | 'write' {
  try {
    const entry = lstatIfPresent(path);
    if (entry !== undefined && statIfReachable(path)?.isFile() !== true) {
      throw new UsageError('ERR_OUTPUT_EXISTS', `${path} is not a regular file`, {
        hint: 'give the name of a file for the digests',
      });
    }
    if (entry !== undefined && force !== true) return 'compare';
    accessSync(dirname(path), constants.W_OK);
    return 'write';
  } catch (error) {
    throw fromSystemError(error, `looking at ${path}`);
  }
}

/** The manifest must be none of the files that the model is read from. */
function requireOther(path: string, files: OpenedFiles): void {
  const entry = statIfReachable(path);
  const isInput = files.inputPaths.some((input) => {
    const stats = statIfReachable(input);
    return stats !== undefined && stats.ino === entry?.ino && stats.dev === entry.dev;
  });
  if (!isInput) return;
  throw new UsageError('ERR_OUTPUT_IS_INPUT', `${path} is a file of the model`, {
    hint: 'give the name of another file for the digests',
  });
}

/** Tensors that are compared before other events, such as a signal, get their turn. */
const COMPARED_AT_ONCE = 4096;

async function compare(
  path: string,
  model: ModelDigest,
  entries: Iterator<DigestEntry | UnreadableEntry>,
  findings: Findings,
  signal: AbortSignal | undefined,
): Promise<void> {
  using manifest = openManifest(path);
  if (manifest.model.sha256 !== model.sha256) {
    const message = differs(model, manifest.model);
    findings.add('warning', 'digest-model', { file: model.name }, message);
  }
  const comparison = new Comparison(findings);
  let compared = 0;
  for (const listed of manifest.entries) {
    if (compared++ % COMPARED_AT_ONCE === 0) await setImmediate();
    if (signal?.aborted) throw new CancelledError();
    comparison.add(entries.next().value, listed);
  }
  for (let own = entries.next().value; own !== undefined; own = entries.next().value) {
    comparison.add(own, undefined);
  }
  comparison.finish();
}

function* readableOnly(
  entries: Iterable<DigestEntry | UnreadableEntry>,
  signal: AbortSignal | undefined,
): Generator<DigestEntry> {
  for (const entry of entries) {
    if (signal?.aborted) throw new CancelledError();
    if (entry.sha256 !== undefined) yield entry;
  }
  if (signal?.aborted) throw new CancelledError();
}

/**
 * Reads all bytes of a checked model once and writes their digests, or compares them with a manifest: what differs
 * is a finding. Memory: 32 bytes a tensor in files, 8 MiB, and the tensors that are in another order than the
 * manifest has them. Throws a UsageError, a FormatError for a damaged manifest, a ResourceError, and a CancelledError.
 */
export async function digestModel(
  decoded: DecodedModel,
  files: OpenedFiles,
  tensors: CheckedTensors,
  options: DigestOptions,
  findings: Findings,
): Promise<DigestReport> {
  const { path, force = false, onStart, onProgress, signal } = options;
  onStart?.();
  requireOther(path, files);
  const way = checkManifestPath(options);
  const { count } = tensors.sources;
  if (way === 'write' && tensors.sources.countOf(TensorSource.NONE) > 0) {
    return { path, action: 'refused', tensors: count, byteLength: 0 };
  }
  const { model: file } = files;
  const total = file.byteLength + tensors.byteLength;
  let done = 0;
  const onHashed = (byteLength: number) => {
    done += byteLength;
    onProgress?.(done, total);
    if (signal?.aborted) throw new CancelledError();
  };
  const whole = { kind: 'range', file, byteOffset: 0, byteLength: file.byteLength } as const;
  const sha256 = (await hashRange(whole, onHashed)).toString('hex');
  const digests = await hashRanges(tensors.ranges, onHashed);
  files.verifyUnchanged();
  const model = { name: basename(file.path), byteLength: file.byteLength, sha256 };
  const entries = digestEntries(decoded, files, tensors, digests);
  if (way === 'compare') await compare(path, model, entries, findings, signal);
  else await writeManifest(path, model, readableOnly(entries, signal), force);
  const action = way === 'compare' ? 'compared' : 'written';
  return { path, action, tensors: count, byteLength: done };
}
