/**
 * The save plan: every output file and every byte of it, decided before the first one is written. `--dry-run` prints
 * it, the writer executes it, tests compare the two. Pure.
 */

import { formatSize } from '../bytes.ts';
import type { NamedTensor } from '../model/initializers.ts';
import type { Model } from '../model/model.ts';
import { syncModel } from '../model/sync.ts';
import type { Tensor } from '../model/tensor.ts';
import { type EncodedModel, encodeModel } from '../proto/codec.ts';
import { isExternal, tensorHeader } from '../proto/deferred.ts';
import type { TensorPlace, TensorPlaces } from '../proto/model-writer.ts';
import type { onnx } from '../proto/onnx.js';
import { type Home, homeChooser } from './homes.ts';
import {
  type DataFileOptions,
  type PlacedRuns,
  type PlannedFile,
  placeRuns,
} from './placed-runs.ts';
import { collectRuns, type PayloadData, payloadLength, type TensorPayload } from './runs.ts';
import { isSafetensorsName } from './safetensors.ts';
import { type ExternalTensor, placeSafetensors } from './safetensors-runs.ts';
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
  readonly named: NamedTensor;
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
  /** Every tensor, in the order of the model, which must stay as it was planned. */
  readonly tensors: Iterable<PlannedTensor>;
  readonly placed: PlacedRuns;
  /** The data files to write, in order of first use. */
  readonly dataFiles: readonly PlannedFile[];
  /** Each distinct run of the data files once, file by file in order of offsets. */
  dataWrites(): Iterable<PlannedWrite>;
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

/** Bytes that embedded tensors share in the source and cannot share in one file. */
function duplicatedBytes(embedded: Iterable<TensorPayload>): number {
  const payloads = [...embedded];
  const distinct = collectRuns(payloads).runs.reduce((sum, run) => sum + run.byteLength, 0);
  return payloads.reduce((sum, { data }) => sum + payloadLength(data), 0) - distinct;
}

/** Whether a value of the file is where it goes. */
function isInPlace({ proto }: Tensor, placement: Placement): boolean {
  return placement.kind === 'external' ? refersTo(proto, placement) : !isExternal(proto);
}

function* dataWrites(placed: PlacedRuns): Generator<PlannedWrite> {
  for (const { run, file, byteOffset } of placed.written()) {
    const { byteLength, data, tensor } = run;
    yield { file, byteOffset, byteLength, data, tensor };
  }
}

/** The tensors of a plan, described again each time: of a million, most stay where they are. */
class PlannedTensors implements Iterable<PlannedTensor> {
  readonly #model: Model;
  readonly #homeOf: (tensor: Tensor) => Home;
  readonly #placed: PlacedRuns;

  constructor(model: Model, homeOf: (tensor: Tensor) => Home, placed: PlacedRuns) {
    this.#model = model;
    this.#homeOf = homeOf;
    this.#placed = placed;
  }

  *[Symbol.iterator](): Generator<PlannedTensor> {
    let nextPart = 0;
    for (const named of this.#model.tensors()) {
      const { kind } = this.#homeOf(named.tensor);
      const byteLength = named.tensor.byteLength ?? 0;
      if (kind === 'proto') yield { named, placement: { kind } };
      else if (kind !== 'external') yield { named, placement: { kind, byteLength } };
      else {
        yield { named, placement: { kind, ...this.#placed.placeOf(nextPart++) } };
      }
    }
  }
}

function* externalTensors(
  model: Model,
  homeOf: (tensor: Tensor) => Home,
): Generator<ExternalTensor> {
  for (const named of model.tensors()) {
    const home = homeOf(named.tensor);
    if (home.kind === 'external') {
      yield { data: home.data, tensor: named.name, described: named.tensor };
    }
  }
}

function* embeddedRanges(model: Model, homeOf: (tensor: Tensor) => Home): Generator<TensorPayload> {
  for (const { tensor } of model.tensors()) {
    const home = homeOf(tensor);
    if (home.kind === 'embedded' && home.data.kind === 'range') yield { ...home, tensor: '' };
  }
}

/**
 * Decides where the values of a model go. Changes nothing and reads no file.
 * Throws a PreconditionError when the layout asks for too many data files.
 */
export function placeTensors(model: Model, options: PlanOptions): Placing {
  const homeOf = homeChooser(model, options);
  // The name decides: what is called like safetensors is written so, and nothing else.
  const dataName = options.dataNameOf?.(undefined) ?? '';
  const external = externalTensors(model, homeOf);
  const placed = isSafetensorsName(dataName)
    ? placeSafetensors([...external], dataName, options)
    : placeRuns(collectRuns(external), options);
  const tensors = new PlannedTensors(model, homeOf, placed);
  let { valueBytes } = placed;
  let movesBytes = placed.files.length > 0;
  for (const { named, placement } of tensors) {
    if (placement.kind === 'inline' || placement.kind === 'embedded') {
      valueBytes += placement.byteLength;
    }
    movesBytes ||= !isInPlace(named.tensor, placement);
  }
  const duplicated =
    options.layout.embed === true ? duplicatedBytes(embeddedRanges(model, homeOf)) : 0;
  return {
    tensors,
    placed,
    dataFiles: placed.files,
    dataWrites: () => dataWrites(placed),
    aliases: placed.aliases,
    valueBytes,
    movesBytes,
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
class ChangedPlaces implements TensorPlaces {
  /** What goes inside. */
  readonly payloads = new Map<onnx.ITensorProto, TensorPayload>();
  readonly #placed: PlacedRuns;
  /** Numbers of values in data files; their places are looked up, since there may be a million. */
  readonly #external = new Map<onnx.ITensorProto, number>();

  constructor(tensors: Iterable<PlannedTensor>, placed: PlacedRuns) {
    this.#placed = placed;
    let next = 0;
    for (const { named, placement } of tensors) {
      const { proto, data } = named.tensor;
      if (placement.kind === 'external') {
        const index = next++;
        // A message that was decoded may hold other values besides.
        const isSame = tensorHeader(proto) !== undefined && refersTo(proto, placement);
        if (!isSame) this.#external.set(proto, index);
      } else if (placement.kind !== 'proto' && data.kind !== 'proto') {
        if (data.kind === 'inline' && holds(proto, data)) continue;
        this.payloads.set(proto, { data, tensor: named.name });
      }
    }
  }

  get size(): number {
    return this.payloads.size + this.#external.size;
  }

  get(proto: onnx.ITensorProto): TensorPlace | undefined {
    const index = this.#external.get(proto);
    if (index !== undefined) return entriesOf(this.#placed.placeOf(index));
    const payload = this.payloads.get(proto);
    return payload && payloadLength(payload.data);
  }
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
  const places = new ChangedPlaces(placing.tensors, placing.placed);
  const encoded = encodeModel(model.proto, places);
  const { payloads } = places;
  const files = [{ name: options.modelName, byteLength: encoded.byteLength }, ...placing.dataFiles];
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return { ...placing, files, model: encoded, payloads, byteLength };
}
