/** Opening a model: decode the graph, find every tensor's bytes, check that they are there. No payload is read. */

import { KIB } from '../bytes.ts';
import { type DTypeCode, denseByteLength } from '../dtypes.ts';
import { FormatError } from '../errors.ts';
import { Model } from '../model/model.ts';
import { plainDomain } from '../model/node.ts';
import {
  type FileRange,
  type InlineData,
  LazyBytes,
  type SourceFile,
  type TensorData,
} from '../model/tensor-data.ts';
import { loadNative } from '../native.ts';
import { type DecodedModel, decodeModel } from '../proto/codec.ts';
import { nodesOf } from '../proto/deferred.ts';
import { fileReader } from '../proto/file-reader.ts';
import { DECODED, EXTERNAL, type StatedPlace, type TensorHeader } from '../proto/headers.ts';
import { longToNumber } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Payload } from '../proto/skeleton.ts';
import { checkRange, OpenedFiles } from './open-files.ts';
import { checkExternalType, type ExternalEntry, parseExternalReference } from './reference.ts';

/** Ranges up to this size are read at once: shapes, axes, scalars that surgeries look at. */
const READ_BELOW = KIB;

/** An open model: its graph, its files, and what was odd about it. */
export interface OpenedModel extends Disposable {
  readonly model: Model;
  readonly files: OpenedFiles;
  /** The locations of data files, as the model names them, in order of first use. */
  readonly locations: ReadonlyMap<SourceFile, string>;
  readonly warnings: readonly string[];
}

function readSmall({ file, byteOffset, byteLength }: FileRange): Uint8Array {
  return fileReader(file.fd, file.byteLength, file.path).read(byteOffset, byteLength);
}

/** Bytes that type and shape ask for, where the reference does not say. */
function shapeByteLength(dtype: DTypeCode, dims: readonly number[], name: string): number {
  const byteLength = denseByteLength(dtype, dims, `tensor "${name}"`);
  if (byteLength !== undefined) return byteLength;
  throw new FormatError(
    'ERR_EXTERNAL_DATA',
    `tensor "${name}": external data has no length and type ${dtype} has no fixed width`,
  );
}

/** Small bytes that a message holds. A graph may have a million of them: each is a view, made anew at each look. */
class MessageBytes implements InlineData {
  readonly kind = 'inline';
  readonly #header: TensorHeader;

  constructor(header: TensorHeader) {
    this.#header = header;
  }

  get byteLength(): number {
    return this.#header.rawByteLength;
  }

  get bytes(): Uint8Array {
    return this.#header.rawData();
  }
}

/** A small range of a data file. */
class SmallRange extends LazyBytes {
  readonly range: FileRange;

  constructor(range: FileRange) {
    super(range.byteLength, () => readSmall(range));
    this.range = range;
  }
}

class Resolver {
  readonly locations = new Map<SourceFile, string>();
  readonly unknownKeys = new Set<string>();
  readonly #files: OpenedFiles;
  readonly #decoded: DecodedModel;

  constructor(files: OpenedFiles, decoded: DecodedModel) {
    this.#files = files;
    this.#decoded = decoded;
  }

  resolve(
    proto: onnx.ITensorProto | undefined,
    name: string,
    header: TensorHeader | undefined,
  ): TensorData {
    if (header !== undefined) {
      const { dataType, dims, place, externalData } = header;
      if (place !== undefined) {
        checkExternalType(dataType, name);
        return this.#external(place, dataType, dims, name);
      }
      if (externalData !== undefined) return this.#referred(externalData, dataType, dims, name);
      return header.rawByteLength > 0 ? new MessageBytes(header) : { kind: 'proto' };
    }
    if (proto === undefined) return { kind: 'proto' };
    if (proto.dataLocation === EXTERNAL) {
      const entries = proto.externalData ?? [];
      const dims = (proto.dims ?? []).map((dim) =>
        longToNumber(dim, `a dimension of tensor "${name}"`),
      );
      return this.#referred(
        entries.map(({ key, value }) => ({ key: key ?? '', value: value ?? '' })),
        proto.dataType ?? 0,
        dims,
        name,
      );
    }
    const payload = this.#decoded.payloadOf(proto);
    if (payload !== undefined) {
      return this.#embedded(payload, proto, name);
    }
    if (proto.rawData?.byteLength) return { kind: 'inline', bytes: proto.rawData };
    return { kind: 'proto' };
  }

  /** A payload inside the `.onnx`. Small ones go back to the field they were left out of. */
  #embedded(payload: Payload, proto: onnx.ITensorProto, name: string): TensorData {
    const { byteOffset, byteLength, field } = payload;
    const data = this.#range(
      { kind: 'range', file: this.#files.model, byteOffset, byteLength },
      name,
    );
    if (data.kind !== 'inline') return data;
    const { buffer } = data.bytes.slice();
    if (field === 'raw_data') proto.rawData = data.bytes;
    else if (field === 'float_data') proto.floatData = [...new Float32Array(buffer)];
    else proto.doubleData = [...new Float64Array(buffer)];
    return field === 'raw_data' ? data : { kind: 'proto' };
  }

  #range(range: FileRange, name: string): FileRange | InlineData {
    checkRange(range.file, range.byteOffset, range.byteLength, name);
    if (range.byteLength >= READ_BELOW) return range;
    return new SmallRange(range);
  }

  /** The place that `external_data` tells. */
  #referred(
    entries: readonly ExternalEntry[],
    dtype: DTypeCode,
    dims: readonly number[],
    name: string,
  ): TensorData {
    checkExternalType(dtype, name);
    const reference = parseExternalReference(entries, name);
    for (const key of reference.unknownKeys) this.unknownKeys.add(key);
    return this.#external(reference, dtype, dims, name);
  }

  #external(
    { location, byteOffset, byteLength }: Omit<StatedPlace, 'isPlain'>,
    dtype: DTypeCode,
    dims: readonly number[],
    name: string,
  ): TensorData {
    const file = this.#files.data(location, name);
    if (!this.locations.has(file)) this.locations.set(file, location);
    const range: FileRange = {
      kind: 'range',
      file,
      byteOffset,
      byteLength: byteLength ?? shapeByteLength(dtype, dims, name),
    };
    return this.#range(range, name);
  }
}

/**
 * A file cut off between two fields of the outermost message is a valid protobuf message. What every runtime needs
 * tells it from a whole one: a graph, and the operator sets of its nodes.
 */
function checkComplete({ model: proto, tape }: DecodedModel, path: string): void {
  const incomplete = (what: string) =>
    new FormatError('ERR_MODEL', `${path}: ${what}`, {
      hint: 'the file may be cut off; fetch or export the model again',
    });
  if (!proto.graph) throw incomplete('the model has no graph');
  const imported = new Set((proto.opsetImport ?? []).map((entry) => plainDomain(entry.domain)));
  const nodes = nodesOf(proto.graph);
  let missing: onnx.INodeProto | undefined;
  let known = -1;
  for (let index = 0; missing === undefined && index < nodes.length; index++) {
    const record = nodes.mark(index);
    const isRead = record !== DECODED;
    if (isRead && tape.domainId(record) === known) continue;
    const domain = plainDomain(isRead ? tape.domain(record) : nodes.at(index).domain);
    if (!imported.has(domain)) missing = nodes.at(index);
    else if (isRead) known = tape.domainId(record);
  }
  if (missing === undefined) return;
  throw incomplete(
    `node "${missing.name || missing.opType}" is of operator set "${plainDomain(missing.domain) || 'ai.onnx'}", which the model does not import`,
  );
}

/**
 * Opens the model at `path` and every data file it refers to. Memory: the graph; no tensor of 1 KiB or more is read.
 * Throws a FormatError for anything that is not a model whose every reference is good, a ResourceError when a file
 * cannot be read. Dispose the result to close its files.
 */
export function openModel(path: string): OpenedModel {
  const files = OpenedFiles.open(path, loadNative()?.openBeneath);
  try {
    const decoded = decodeModel(fileReader(files.model.fd, files.model.byteLength, path), path);
    checkComplete(decoded, path);
    const resolver = new Resolver(files, decoded);
    const model = new Model(
      decoded.model,
      (proto, name, header) => resolver.resolve(proto, name, header),
      decoded.tape,
    );
    const keys = [...resolver.unknownKeys];
    const warnings =
      keys.length === 0
        ? []
        : [
            `external data has keys ONNX Runtime refuses (${keys.join(', ')}); they are not written`,
          ];
    return {
      model,
      files,
      locations: resolver.locations,
      warnings,
      [Symbol.dispose]: () => files.close(),
    };
  } catch (error) {
    files.close();
    throw error;
  }
}
