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
import { isExternal, tensorHeader } from '../proto/deferred.ts';
import type { TensorPlace } from '../proto/model-writer.ts';
import type { onnx } from '../proto/onnx.js';
import { INLINE_BELOW } from './layout.ts';
import {
  type DataFileOptions,
  type PlacedRun,
  type PlannedFile,
  placeRuns,
} from './placed-runs.ts';
import { collectRuns, type PayloadData, type TensorPayload } from './runs.ts';
import { isSafetensorsName } from './safetensors.ts';
import { placeSafetensors } from './safetensors-runs.ts';
import { entriesOf, holds, refersTo } from './tensor-fields.ts';

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

/** Where every value goes. The `.onnx` itself is not made yet. */
export interface Placing {
  readonly tensors: readonly PlannedTensor[];
  /** The data files to write, in order of first use. */
  readonly dataFiles: readonly PlannedFile[];
  /** Each distinct run of the data files once, file by file in order of offsets. */
  readonly dataWrites: readonly PlannedWrite[];
  /** Tensors that share the bytes of an earlier one. */
  readonly aliases: number;
  /** Bytes of all values, each distinct one once; kept ranges included. */
  readonly valueBytes: number;
  /** False when every value already is where it goes, and the model says so. */
  readonly movesBytes: boolean;
  readonly warnings: readonly string[];
}

export interface SavePlan extends Placing {
  /** The `.onnx` first, then the data files. */
  readonly files: readonly PlannedFile[];
  /** What the `.onnx` consists of, with gaps where payloads go. */
  readonly model: EncodedModel;
  /** The payloads of those gaps. */
  readonly payloads: ReadonlyMap<onnx.ITensorProto, TensorPayload>;
  /** Bytes of the files that are written. */
  readonly byteLength: number;
}

type NamedTensor = Omit<PlannedTensor, 'placement'>;

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

/** Whether a value of the file is where it goes. */
function isInPlace({ proto }: Tensor, placement: Placement): boolean {
  return placement.kind === 'external' ? refersTo(proto, placement) : !isExternal(proto);
}

/**
 * Decides where the values of a model go. Changes nothing and reads no file.
 * Throws a PreconditionError when the layout asks for too many data files.
 */
export function placeTensors(model: Model, options: PlanOptions): Placing {
  const tensors = [...model.tensors()];
  const homes = chooseHomes(tensors, options);
  const external = homes.flatMap((home, index) => {
    if (home.kind !== 'external') return [];
    const { name, tensor } = tensors[index] as NamedTensor;
    return [{ data: home.data, tensor: name, described: tensor }];
  });
  // The name decides: what is called like safetensors is written so, and nothing else.
  const dataName = options.dataNameOf?.(undefined) ?? '';
  const placed = isSafetensorsName(dataName)
    ? placeSafetensors(external, dataName, options)
    : placeRuns(collectRuns(external), options);
  let { valueBytes } = placed;
  let nextPart = 0;
  const planned = tensors.map(({ name, tensor }, index): PlannedTensor => {
    const { kind } = homes[index] as Home;
    if (kind === 'proto') return { name, tensor, placement: { kind } };
    const byteLength = tensor.byteLength ?? 0;
    if (kind === 'external') {
      const place = placed.placeOf(nextPart++);
      return { name, tensor, placement: { kind, ...place, byteLength } };
    }
    valueBytes += byteLength;
    return { name, tensor, placement: { kind, byteLength } };
  });
  const duplicated = options.layout.embed === true ? duplicatedBytes(homes) : 0;
  return {
    tensors: planned,
    dataFiles: placed.files,
    dataWrites: placed.written.map(writeOf),
    aliases: placed.aliases,
    valueBytes,
    movesBytes:
      placed.files.length > 0 ||
      planned.some(({ tensor, placement }) => !isInPlace(tensor, placement)),
    warnings: [
      ...placed.warnings,
      ...(duplicated === 0
        ? []
        : [
            `${formatSize(duplicated)} that tensors shared are stored twice: one file cannot share`,
          ]),
    ],
  };
}

/** What is written otherwise than the messages say: where values are now, and what goes inside the `.onnx`. */
function changedPlaces(tensors: readonly PlannedTensor[]) {
  const places = new Map<onnx.ITensorProto, TensorPlace>();
  const payloads = new Map<onnx.ITensorProto, TensorPayload>();
  for (const { name, tensor, placement } of tensors) {
    const { proto, data } = tensor;
    if (placement.kind === 'external') {
      // A message that was decoded may hold other values besides.
      const isSame = tensorHeader(proto) !== undefined && refersTo(proto, placement);
      if (!isSame) places.set(proto, entriesOf(placement));
    } else if (placement.kind !== 'proto' && data.kind !== 'proto') {
      if (data.kind === 'inline' && holds(proto, data)) continue;
      places.set(proto, placement.byteLength);
      payloads.set(proto, { data, tensor: name });
    }
  }
  return { places, payloads };
}

/**
 * Plans the output of a model after its surgeries. Brings `model.proto` up to date, but for the places of values,
 * which are those of the plan; reads no file; can be asked again with other options.
 * Throws a PreconditionError when everything is to go inside one `.onnx` of 2 GiB or more, or the layout asks for
 * too many data files.
 */
export function planSave(model: Model, options: PlanOptions): SavePlan {
  syncModel(model);
  const placing = placeTensors(model, options);
  const { places, payloads } = changedPlaces(placing.tensors);
  const encoded = encodeModel(model.proto, places);
  const files = [{ name: options.modelName, byteLength: encoded.byteLength }, ...placing.dataFiles];
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return { ...placing, files, model: encoded, payloads, byteLength };
}
