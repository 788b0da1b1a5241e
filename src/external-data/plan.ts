/**
 * The save plan: every output file and every byte of it, decided before the first one is written. `--dry-run` prints
 * it, the writer executes it, tests compare the two. Pure.
 */

import { alignUp, KIB, MIB } from '../bytes.ts';
import { DType } from '../dtypes.ts';
import type { Model } from '../model/model.ts';
import { syncModel } from '../model/sync.ts';
import type { Tensor } from '../model/tensor.ts';
import type { DerivedData, FileRange, InlineData, SourceFile } from '../model/tensor-data.ts';
import { type EncodedModel, encodeModel } from '../proto/codec.ts';
import { isExternal, tensorHeader } from '../proto/deferred.ts';
import { EXTERNAL } from '../proto/headers.ts';
import type { onnx } from '../proto/onnx.js';
import { type ExternalEntry, formatExternalReference } from './reference.ts';

/** Values below this stay in the `.onnx`: what other writers keep there too, and below any mapping's worth. */
const INLINE_BELOW = KIB;
/** Tensors from this size start at a page; ONNX Runtime's own saver does the same. */
const PAGE_FROM = MIB;
const PAGE = 4096;
/** Everything else starts at a cache line, which also satisfies SIMD loads from a mapping. */
const CACHE_LINE = 64;

/** How the output is laid out. */
export interface PlanOptions {
  /** Name of the `.onnx` in the output directory. */
  readonly modelName: string;
  /**
   * Where tensors of 1 KiB and more go: the data file, by name, of the source file they come from. Undefined keeps
   * everything inside the `.onnx`.
   */
  readonly dataNameOf: ((file: SourceFile) => string) | undefined;
  /**
   * For an edit in place: the location under which the output may go on using a source file as it is. Ranges of such
   * files are referred to, not copied.
   */
  readonly keptLocation?: ((file: SourceFile) => string | undefined) | undefined;
}

/** Bytes that are copied or made: what a writer has to produce. */
export type PayloadData = FileRange | DerivedData;

/** Where a tensor's bytes are in the output. */
export type Placement =
  | { readonly kind: 'proto' }
  | { readonly kind: 'inline'; readonly byteLength: number }
  | { readonly kind: 'embedded'; readonly byteLength: number }
  | {
      readonly kind: 'external';
      readonly file: string;
      readonly byteOffset: number;
      readonly byteLength: number;
    };

/** One tensor of the output. */
export interface PlannedTensor {
  readonly name: string;
  readonly tensor: Tensor;
  readonly placement: Placement;
}

/** One run of bytes to produce: a copy of a file range, or one output of a derivation. */
export interface PlannedWrite {
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly data: PayloadData;
  /** A tensor that has these bytes, for messages. */
  readonly tensor: string;
}

/** One output file and its exact length. */
export interface PlannedFile {
  readonly name: string;
  readonly byteLength: number;
}

export interface SavePlan {
  /** The `.onnx` first, then data files in order of first use. */
  readonly files: readonly PlannedFile[];
  /** What the `.onnx` consists of, with gaps where embedded payloads go. */
  readonly model: EncodedModel;
  readonly tensors: readonly PlannedTensor[];
  /** Each distinct payload once, in file order. */
  readonly writes: readonly PlannedWrite[];
  /** Tensors that share the bytes of an earlier one. */
  readonly aliases: number;
  /** Bytes of all values, each distinct one once; kept ranges included. */
  readonly valueBytes: number;
  /** Bytes of the files that are written. */
  readonly byteLength: number;
}

function payloadKey(data: PayloadData, derivations: Map<object, number>): string {
  if (data.kind === 'range') return `${data.file.fd}:${data.byteOffset}:${data.byteLength}`;
  const known = derivations.get(data.derivation) ?? derivations.size;
  derivations.set(data.derivation, known);
  return `d${known}:${data.output}`;
}

/** Shape-carrying integers must stay where ONNX Runtime's shape inference can read them. */
function isShapeLike(tensor: Tensor): boolean {
  const integer = tensor.dtype === DType.INT64 || tensor.dtype === DType.INT32;
  return integer && tensor.dims.length <= 1 && tensor.elementCount <= KIB;
}

class DataFiles {
  readonly lengths = new Map<string, number>();

  /** Reserves room at the next aligned offset of a file. */
  reserve(name: string, byteLength: number): number {
    const end = this.lengths.get(name) ?? 0;
    const byteOffset = alignUp(end, byteLength >= PAGE_FROM ? PAGE : CACHE_LINE);
    this.lengths.set(name, byteOffset + byteLength);
    return byteOffset;
  }
}

function clearReference(proto: onnx.ITensorProto): void {
  if (!isExternal(proto)) return;
  proto.dataLocation = null;
  proto.externalData = null;
}

function setInline(proto: onnx.ITensorProto, data: InlineData): void {
  // A value that is where it came from stays there, undecoded: its bytes are a view of the message's.
  const present = tensorHeader(proto)?.rawData();
  const { buffer, byteOffset, byteLength } = data.bytes;
  if (present?.buffer === buffer && present.byteOffset === byteOffset) {
    if (present.byteLength === byteLength) return;
  }
  clearReference(proto);
  if (proto.rawData !== data.bytes) proto.rawData = data.bytes;
}

function setExternal(
  proto: onnx.ITensorProto,
  place: { readonly file: string; readonly byteOffset: number; readonly byteLength: number },
): void {
  const { file, byteOffset, byteLength } = place;
  const entries = formatExternalReference({ location: file, byteOffset, byteLength });
  const present = tensorHeader(proto)?.externalData;
  const isThere = (entry: ExternalEntry, index: number) =>
    present?.[index]?.key === entry.key && present[index]?.value === entry.value;
  if (present?.length === entries.length && entries.every(isThere)) return;
  proto.rawData = null;
  proto.floatData = null;
  proto.doubleData = null;
  proto.dataLocation = EXTERNAL;
  proto.externalData = entries;
}

function payloadLength(data: PayloadData): number {
  if (data.kind === 'range') return data.byteLength;
  return data.derivation.outputs[data.output]?.byteLength ?? 0;
}

function sourceFile(data: PayloadData): SourceFile {
  return data.kind === 'range' ? data.file : data.derivation.sources[0].file;
}

type External = Placement & { readonly kind: 'external' };

/** Places tensors one by one, each distinct payload once. */
class Planner {
  readonly tensors: PlannedTensor[] = [];
  readonly writes: PlannedWrite[] = [];
  readonly dataFiles = new DataFiles();
  /** Payloads that go inside the `.onnx`, by the message that holds them. */
  readonly embedded = new Map<onnx.ITensorProto, { data: PayloadData; tensor: string }>();
  aliases = 0;
  valueBytes = 0;
  readonly #options: PlanOptions;
  readonly #placed = new Map<string, External>();
  readonly #derivations = new Map<object, number>();

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  add(name: string, tensor: Tensor): void {
    this.tensors.push({ name, tensor, placement: this.#place(name, tensor) });
  }

  #place(name: string, tensor: Tensor): Placement {
    const { data, proto } = tensor;
    if (data.kind === 'proto') return { kind: 'proto' };
    const byteLength = tensor.byteLength ?? 0;
    if (data.kind === 'inline') {
      setInline(proto, data);
      this.valueBytes += byteLength;
      return { kind: 'inline', byteLength };
    }
    // A derived tensor goes to the data file whatever its size: its siblings are made in the same place.
    const small = data.kind === 'range' && (byteLength < INLINE_BELOW || isShapeLike(tensor));
    const { dataNameOf } = this.#options;
    if (small || dataNameOf === undefined) {
      clearReference(proto);
      this.embedded.set(proto, { data, tensor: name });
      this.valueBytes += byteLength;
      return { kind: 'embedded', byteLength };
    }
    const placement = this.#external(name, data, byteLength, dataNameOf);
    setExternal(proto, placement);
    return placement;
  }

  #external(
    name: string,
    data: PayloadData,
    byteLength: number,
    dataNameOf: (file: SourceFile) => string,
  ): External {
    const key = payloadKey(data, this.#derivations);
    const known = this.#placed.get(key);
    if (known !== undefined) {
      this.aliases++;
      return known;
    }
    const kept = data.kind === 'range' ? this.#options.keptLocation?.(data.file) : undefined;
    const file = kept ?? dataNameOf(sourceFile(data));
    const byteOffset =
      kept !== undefined && data.kind === 'range'
        ? data.byteOffset
        : this.dataFiles.reserve(file, byteLength);
    const placement: External = { kind: 'external', file, byteOffset, byteLength };
    this.#placed.set(key, placement);
    this.valueBytes += byteLength;
    if (kept === undefined) this.writes.push({ file, byteOffset, byteLength, data, tensor: name });
    return placement;
  }
}

/**
 * Plans the output of a model after its surgeries. Writes the new references into `model.proto`, reads no file.
 * Throws a PreconditionError when everything is to go inside one `.onnx` of 2 GiB or more.
 */
export function planSave(model: Model, options: PlanOptions): SavePlan {
  syncModel(model);
  const planner = new Planner(options);
  for (const { name, tensor } of model.tensors()) planner.add(name, tensor);
  const payloads = new Map<onnx.ITensorProto, number>();
  for (const [proto, { data }] of planner.embedded) payloads.set(proto, payloadLength(data));
  const encoded = encodeModel(model.proto, payloads);
  const { writes, tensors, aliases, valueBytes, dataFiles } = planner;
  for (const segment of encoded.segments) {
    if (segment.kind === 'bytes') continue;
    const { tensor: proto, byteOffset, byteLength } = segment;
    const payload = planner.embedded.get(proto);
    if (payload) writes.push({ file: options.modelName, byteOffset, byteLength, ...payload });
  }
  const files = [
    { name: options.modelName, byteLength: encoded.byteLength },
    ...[...dataFiles.lengths].map(([name, byteLength]) => ({ name, byteLength })),
  ];
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return { files, model: encoded, tensors, writes, aliases, valueBytes, byteLength };
}
