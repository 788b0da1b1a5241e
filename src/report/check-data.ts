/** The tensors of a model, and the files their bytes are in. No payload is read. */

import { denseByteLength } from '../dtypes.ts';
import { FormatError } from '../errors.ts';
import { hasTwoDots } from '../external-data/location.ts';
import { checkRange, type OpenedFiles } from '../external-data/open-files.ts';
import { checkExternalType, parseExternalReference, quoted } from '../external-data/reference.ts';
import { isSafetensorsName } from '../external-data/safetensors.ts';
import { checkTensorBytes } from '../model/tensor.ts';
import type { FileRange, SourceFile } from '../model/tensor-data.ts';
import type { DecodedModel } from '../proto/codec.ts';
import type { onnx } from '../proto/onnx.ts';
import { checkRanges, type RangeSums } from './check-ranges.ts';
import { SafetensorsCheck } from './check-safetensors.ts';
import { checkSparse } from './check-sparse.ts';
import { checkTensor, findingOf, type ShapedTensor } from './check-tensor.ts';
import { checkMetadata } from './check-values.ts';
import { peekIfWhole, type WireCheck } from './check-wire.ts';
import type { Findings } from './findings.ts';
import { type PlacedTensor, type TensorPlace, tensorPlaces } from './tensor-places.ts';
import {
  TensorRanges,
  TensorSource,
  type TensorSourceCode,
  TensorSources,
} from './tensor-ranges.ts';

/** What is known of the tensors of a model once they are checked. */
export interface CheckedTensors extends RangeSums {
  /** Where the value of each tensor is, in the order of {@link tensorPlaces}. */
  readonly sources: TensorSources;
  /** Those that are in files, in the same order. */
  readonly ranges: TensorRanges;
  /** Data files as the model names them. */
  readonly locations: ReadonlyMap<SourceFile, string>;
}

class DataCheck {
  readonly sources = new TensorSources();
  readonly ranges = new TensorRanges();
  readonly locations = new Map<SourceFile, string>();
  readonly safetensors: SafetensorsCheck;
  readonly #decoded: DecodedModel;
  readonly #files: OpenedFiles;
  readonly #wire: WireCheck;
  readonly #findings: Findings;
  /** By location: why there is no file. */
  readonly #failures = new Map<string, FormatError>();

  constructor(decoded: DecodedModel, files: OpenedFiles, wire: WireCheck, findings: Findings) {
    this.#decoded = decoded;
    this.#files = files;
    this.#wire = wire;
    this.#findings = findings;
    this.safetensors = new SafetensorsCheck(findings);
  }

  check(placed: PlacedTensor): void {
    if (placed.kind === 'tensor') this.sources.add(this.#tensor(placed.proto, placed.where));
    else this.#sparse(placed.proto, placed.isInitializer, placed.where);
  }

  #tensor(proto: onnx.ITensorProto, where: TensorPlace): TensorSourceCode {
    const tensor = this.#wire.look(proto, where);
    if (tensor === undefined) return TensorSource.NONE;
    checkMetadata(tensor.metadataProps, where, this.#findings);
    // What is decoded for a look alone was small enough to stay as it came.
    const payload = tensor === proto ? this.#decoded.payloadOf(tensor) : undefined;
    const shaped = checkTensor(tensor, payload, where, this.#findings);
    if (shaped === undefined) return TensorSource.NONE;
    if (shaped.isExternal) return this.#external(tensor, shaped, where);
    if (payload === undefined) return TensorSource.MEMORY;
    return this.#add({ file: this.#files.model, ...payload }, where);
  }

  #add(range: Omit<FileRange, 'kind'>, where: TensorPlace): TensorSourceCode {
    this.ranges.add(range, this.#decoded.tape.names.internText(where.tensor));
    return TensorSource.RANGE;
  }

  #sparse(proto: onnx.ISparseTensorProto, isInitializer: boolean, where: TensorPlace): void {
    const [values, indices] = [peekIfWhole(proto.values), peekIfWhole(proto.indices)];
    if ((proto.values && !values) || (proto.indices && !indices)) return;
    const isInMemory = indices !== undefined && this.#decoded.payloadOf(indices) === undefined;
    const decoded = { dims: proto.dims ?? [], values: values ?? null, indices: indices ?? null };
    checkSparse(decoded, isInitializer, isInMemory, where, this.#findings);
  }

  #external(tensor: onnx.ITensorProto, shaped: ShapedTensor, where: TensorPlace): TensorSourceCode {
    const findings = this.#findings;
    const { dtype, dims } = shaped;
    const reference = findingOf(findings, where, () => {
      checkExternalType(dtype, '');
      const entries = tensor.externalData ?? [];
      return parseExternalReference(
        entries.map(({ key, value }) => ({ key: key ?? '', value: value ?? '' })),
        '',
      );
    });
    if (reference === undefined) return TensorSource.NONE;
    for (const key of reference.unknownKeys) {
      const message = `external data has the key ${quoted(key)}, which ONNX Runtime refuses`;
      findings.add('error', 'external-reference', where, message, key);
    }
    const { location, byteOffset } = reference;
    const file = findingOf(findings, where, () => this.#file(location), location);
    if (file === undefined) return TensorSource.NONE;
    if (!this.locations.has(file)) this.locations.set(file, location);
    if (hasTwoDots(location)) {
      const message = `external data location ${quoted(location)} has two dots in a row, which onnx's Python refuses`;
      findings.add('warning', 'external-path', where, message, location);
    }
    const byteLength = reference.byteLength ?? denseByteLength(dtype, dims, 'the tensor');
    if (byteLength === undefined) {
      findings.add('error', 'external-reference', where, 'external data has no length');
      return TensorSource.NONE;
    }
    const isInside = findingOf(findings, where, () => {
      checkRange(file, byteOffset, byteLength, '');
      return true;
    });
    if (isInside !== true) return TensorSource.NONE;
    if (byteLength === 0 && byteOffset === file.byteLength) {
      const message = 'has no bytes at the end of its file, which ONNX Runtime refuses';
      findings.add('error', 'external-bounds', where, message);
    }
    findingOf(findings, where, () => checkTensorBytes('', dtype, dims, byteLength));
    const range = { file, byteOffset, byteLength };
    if (isSafetensorsName(location)) this.safetensors.check(range, shaped, where);
    return this.#add(range, where);
  }

  /** The file of a location. One that is not there is looked for once. */
  #file(location: string): SourceFile {
    const failure = this.#failures.get(location);
    if (failure !== undefined) throw failure;
    try {
      return this.#files.data(location, '');
    } catch (error) {
      if (error instanceof FormatError) this.#failures.set(location, error);
      throw error;
    }
  }
}

/**
 * Checks every tensor of a model and opens the data files they name. Memory: a byte a tensor, 24 one that is in a file.
 * Throws a ResourceError when a file that is there cannot be opened.
 */
export function checkData(
  decoded: DecodedModel,
  files: OpenedFiles,
  wire: WireCheck,
  findings: Findings,
): CheckedTensors {
  const { tape, model } = decoded;
  const check = new DataCheck(decoded, files, wire, findings);
  for (const placed of tensorPlaces(model, tape)) check.check(placed);
  const { sources, ranges, locations, safetensors } = check;
  const nameOf = (id: number) => tape.names.peek(id);
  const dataStart = (file: SourceFile) => safetensors.dataStart(file);
  const sums = checkRanges(ranges, files.model, nameOf, findings, dataStart);
  return { sources, ranges, locations, ...sums };
}
