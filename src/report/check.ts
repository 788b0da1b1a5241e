/** Whether a model is what the format says: everything that is wrong with it, not only the first thing. */

import { FormatError } from '../errors.ts';
import { resolveModelPath } from '../external-data/model-path.ts';
import { OpenedFiles } from '../external-data/open-files.ts';
import { loadNative } from '../native.ts';
import { decodeModel } from '../proto/codec.ts';
import { fileReader } from '../proto/file-reader.ts';
import { checkData } from './check-data.ts';
import { checkStructure } from './check-structure.ts';
import { WireCheck } from './check-wire.ts';
import { checkManifestPath, type DigestOptions, type DigestReport, digestModel } from './digest.ts';
import { type Finding, type FindingCounts, Findings } from './findings.ts';

/** What {@link checkModel} does beside checking. */
export interface CheckOptions {
  /** Which `.onnx` of a package of several. */
  readonly component?: string | undefined;
  /** Write the digests of all bytes to a manifest, or compare them with one. Reads all weights. */
  readonly digest?: DigestOptions | undefined;
}

/** What was looked at. */
export interface CheckedCounts {
  readonly nodes: number;
  readonly graphs: number;
  readonly functions: number;
  readonly tensors: number;
  /** Tensors that share all their bytes with another one. */
  readonly aliases: number;
  /** Bytes of tensors in files, shared ones once. */
  readonly byteLength: number;
  readonly files: number;
}

/** What {@link checkModel} found. A model is in order when `counts` has neither errors nor warnings. */
export interface CheckReport {
  /** The `.onnx` that was checked. */
  readonly path: string;
  /** Errors first; of each kind the first thousand. */
  readonly findings: readonly Finding[];
  readonly counts: FindingCounts;
  readonly checked: CheckedCounts;
  /** What became of the manifest, when `digest` asked for one. Tensors that differ are findings. */
  readonly digest?: DigestReport;
}

/**
 * Checks a model, a `.onnx` file or a directory that holds one. Memory: the graph, 8 bytes a name and 28 a tensor
 * in files. Payloads are read for `digest` alone. Throws a FormatError for a file that is no model, what finding and
 * opening it throw, and for `digest` what `digestModel` throws.
 */
export async function checkModel(path: string, options: CheckOptions = {}): Promise<CheckReport> {
  if (options.digest !== undefined) checkManifestPath(options.digest);
  const resolved = resolveModelPath(path, options.component);
  using files = OpenedFiles.open(resolved.path, loadNative()?.openBeneath);
  const reader = fileReader(files.model.fd, files.model.byteLength, resolved.path);
  const decoded = decodeModel(reader, resolved.path);
  const { graph } = decoded.model;
  if (!graph) {
    throw new FormatError('ERR_MODEL', `${resolved.path}: the model has no graph`, {
      hint: 'the file may be cut off; fetch or export the model again',
    });
  }
  const findings = new Findings();
  const wire = new WireCheck(findings);
  const model = Object.assign(decoded.model, { graph });
  const structure = checkStructure(model, decoded.tape, wire, findings);
  const tensors = checkData(decoded, files, wire, findings);
  const digest =
    options.digest && (await digestModel(decoded, files, tensors, options.digest, findings));
  const { sources, aliases, byteLength } = tensors;
  return {
    path: resolved.path,
    findings: findings.list(),
    counts: findings.counts,
    checked: {
      ...structure,
      tensors: sources.count,
      aliases,
      byteLength,
      files: files.files.length,
    },
    ...(digest && { digest }),
  };
}
