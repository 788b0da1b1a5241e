/**
 * The save plan: every output file and every byte of it, decided before the first one is written. `--dry-run` prints
 * it, the writer executes it, tests compare the two. Pure.
 */

import { formatSize, KIB } from '../bytes.ts';
import { DType } from '../dtypes.ts';
import type { Model } from '../model/model.ts';
import { syncModel } from '../model/sync.ts';
import type { Tensor } from '../model/tensor.ts';
import type { DerivedData, FileRange, InlineData } from '../model/tensor-data.ts';
import { type EncodedModel, encodeModel } from '../proto/codec.ts';
import type { onnx } from '../proto/onnx.js';
import { INLINE_BELOW } from './layout.ts';
import {
  type DataFileOptions,
  type PlacedRun,
  type PlannedFile,
  placeRuns,
} from './placed-runs.ts';
import { collectRuns, type PayloadData, payloadLength, type TensorPayload } from './runs.ts';
import { clearReference, setExternal, setInline } from './tensor-fields.ts';

/** How the output is laid out. */
export interface PlanOptions extends DataFileOptions {
  /** Name of the `.onnx` in the output directory. */
  readonly modelName: string;
}

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

/** One run of bytes to produce: a copy of a file range, bytes at hand, or one output of a derivation. */
export interface PlannedWrite {
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly data: PayloadData;
  /** A tensor that has these bytes, for messages. */
  readonly tensor: string;
}

export interface SavePlan {
  /** The `.onnx` first, then data files in order of first use. */
  readonly files: readonly PlannedFile[];
  /** What the `.onnx` consists of, with gaps where embedded payloads go. */
  readonly model: EncodedModel;
  readonly tensors: readonly PlannedTensor[];
  /** Each distinct run once, file by file in order of offsets; those of the `.onnx` last. */
  readonly writes: readonly PlannedWrite[];
  /** Tensors that share the bytes of an earlier one. */
  readonly aliases: number;
  /** Bytes of all values, each distinct one once; kept ranges included. */
  readonly valueBytes: number;
  /** Bytes of the files that are written. */
  readonly byteLength: number;
  /** False when every value already is where the plan has it: nothing but the `.onnx` would be written, as it is. */
  readonly movesBytes: boolean;
  readonly warnings: readonly string[];
}

interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

/** What becomes of a tensor's bytes, its place left open. */
type Home =
  | { readonly kind: 'proto' }
  | { readonly kind: 'inline'; readonly data: InlineData }
  | { readonly kind: 'embedded'; readonly data: FileRange | DerivedData }
  | { readonly kind: 'external'; readonly data: PayloadData };

/** What shape inference of ONNX Runtime reads, and cannot where it is external: axes, shapes, scales, sizes. */
function isShapeLike({ dtype, dims, elementCount }: Tensor): boolean {
  const isInteger = dtype === DType.INT64 || dtype === DType.INT32;
  return dims.length <= 1 && elementCount <= (isInteger ? KIB : 16);
}

function rangeKey({ file, byteOffset, byteLength }: FileRange): string {
  return `${file.fd}:${byteOffset}:${byteLength}`;
}

/** Ranges of 1 KiB and more that several tensors refer to: they stay in data files, the only place to share them. */
function sharedRanges(tensors: readonly NamedTensor[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const shared = new Set<string>();
  for (const { tensor } of tensors) {
    if (tensor.data.kind !== 'range') continue;
    const key = rangeKey(tensor.data);
    if (seen.has(key)) shared.add(key);
    seen.add(key);
  }
  return shared;
}

/** Chooses for each tensor whether it stays in the `.onnx`. */
function chooseHomes(tensors: readonly NamedTensor[], options: PlanOptions): Home[] {
  const embedsAll = options.dataNameOf === undefined;
  const inlineBelow = options.layout.inlineBelow ?? INLINE_BELOW;
  const shared = inlineBelow > INLINE_BELOW && !embedsAll ? sharedRanges(tensors) : undefined;
  const isSmall = (tensor: Tensor, byteLength: number) =>
    byteLength === 0 || byteLength < inlineBelow || isShapeLike(tensor);
  return tensors.map(({ tensor }) => {
    const { data } = tensor;
    if (data.kind === 'proto') return { kind: 'proto' };
    const byteLength = tensor.byteLength ?? 0;
    if (data.kind === 'inline') {
      const stays = embedsAll || isSmall(tensor, byteLength);
      return stays ? { kind: 'inline', data } : { kind: 'external', data: data.range ?? data };
    }
    // A derived tensor goes to the data file whatever its size: its siblings are made in the same place.
    const stays =
      embedsAll ||
      (data.kind === 'range' &&
        isSmall(tensor, byteLength) &&
        shared?.has(rangeKey(data)) !== true);
    return stays ? { kind: 'embedded', data } : { kind: 'external', data };
  });
}

/** Bytes that embedded tensors share in the source and cannot share in one file. */
function duplicatedBytes(homes: readonly Home[]): number {
  const payloads = homes.flatMap((home) =>
    home.kind === 'embedded' && home.data.kind === 'range' ? [{ data: home.data, tensor: '' }] : [],
  );
  const distinct = collectRuns(payloads).runs.reduce((sum, run) => sum + run.byteLength, 0);
  return payloads.reduce((sum, { data }) => sum + data.byteLength, 0) - distinct;
}

function writeOf({ run, file, byteOffset }: PlacedRun): PlannedWrite {
  const { byteLength, data, tensor } = run;
  return { file, byteOffset, byteLength, data, tensor };
}

/**
 * Plans the output of a model after its surgeries. Writes the new references into `model.proto`, reads no file; can
 * be asked again with other options.
 * Throws a PreconditionError when everything is to go inside one `.onnx` of 2 GiB or more, or the layout asks for
 * too many data files.
 */
export function planSave(model: Model, options: PlanOptions): SavePlan {
  syncModel(model);
  const tensors = [...model.tensors()];
  const homes = chooseHomes(tensors, options);
  const external = homes.flatMap((home, index) =>
    home.kind === 'external' ? [{ data: home.data, tensor: tensors[index]?.name ?? '' }] : [],
  );
  const list = collectRuns(external);
  const placed = placeRuns(list, options);
  const embedded = new Map<onnx.ITensorProto, TensorPayload>();
  let movesBytes = placed.files.length > 0;
  let valueBytes = list.runs.reduce((sum, run) => sum + run.byteLength, 0);
  let nextPart = 0;
  const planned = tensors.map(({ name, tensor }, index): PlannedTensor => {
    const home = homes[index] as Home;
    const { proto } = tensor;
    if (home.kind === 'proto') return { name, tensor, placement: home };
    const byteLength = tensor.byteLength ?? 0;
    if (home.kind === 'external') {
      const placement = { kind: home.kind, ...placed.placeOf(nextPart++), byteLength };
      movesBytes = setExternal(proto, placement) || movesBytes;
      return { name, tensor, placement };
    }
    if (home.kind === 'embedded') embedded.set(proto, { data: home.data, tensor: name });
    const wasExternal =
      home.kind === 'inline' ? setInline(proto, home.data) : clearReference(proto);
    movesBytes ||= wasExternal;
    valueBytes += byteLength;
    return { name, tensor, placement: { kind: home.kind, byteLength } };
  });
  const payloads = new Map<onnx.ITensorProto, number>();
  for (const [proto, { data }] of embedded) payloads.set(proto, payloadLength(data));
  const encoded = encodeModel(model.proto, payloads);
  const writes = placed.written.map(writeOf);
  for (const segment of encoded.segments) {
    if (segment.kind === 'bytes') continue;
    const { tensor: proto, byteOffset, byteLength } = segment;
    const payload = embedded.get(proto);
    if (payload) writes.push({ file: options.modelName, byteOffset, byteLength, ...payload });
  }
  const files = [{ name: options.modelName, byteLength: encoded.byteLength }, ...placed.files];
  const duplicated = options.layout.embed === true ? duplicatedBytes(homes) : 0;
  const warnings = [
    ...placed.warnings,
    ...(duplicated === 0
      ? []
      : [`${formatSize(duplicated)} that tensors shared are stored twice: one file cannot share`]),
  ];
  return {
    files,
    model: encoded,
    tensors: planned,
    writes,
    aliases: external.length - list.runs.length,
    valueBytes,
    byteLength: files.reduce((sum, file) => sum + file.byteLength, 0),
    movesBytes,
    warnings,
  };
}
