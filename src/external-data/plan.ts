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
import type { TensorPlace } from '../proto/model-writer.ts';
import type { onnx } from '../proto/onnx.js';
import { type Home, homeChooser } from './homes.ts';
import {
  type DataFileOptions,
  type PlacedRun,
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

/** Bytes that embedded tensors share in the source and cannot share in one file. */
function duplicatedBytes(embedded: readonly TensorPayload[]): number {
  const distinct = collectRuns(embedded).runs.reduce((sum, run) => sum + run.byteLength, 0);
  return embedded.reduce((sum, { data }) => sum + payloadLength(data), 0) - distinct;
}

function writeOf({ run, file, byteOffset }: PlacedRun): PlannedWrite {
  const { byteLength, data, tensor } = run;
  return { file, byteOffset, byteLength, data, tensor };
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
        const place = this.#placed.placeOf(nextPart++);
        yield { named, placement: { kind, ...place, byteLength } };
      }
    }
  }
}

/** What becomes of the values of a model, before data files are laid out. */
function sortByHome(model: Model, homeOf: (tensor: Tensor) => Home) {
  const external: ExternalTensor[] = [];
  /** Ranges that go inside the `.onnx`. */
  const embedded: TensorPayload[] = [];
  let bytesInside = 0;
  let movesInside = false;
  for (const named of model.tensors()) {
    const { tensor } = named;
    const home = homeOf(tensor);
    if (home.kind === 'external') {
      external.push({ data: home.data, tensor: named.name, described: tensor });
      continue;
    }
    movesInside ||= isExternal(tensor.proto);
    if (home.kind !== 'proto') bytesInside += tensor.byteLength ?? 0;
    if (home.kind === 'embedded' && home.data.kind === 'range') {
      embedded.push({ data: home.data, tensor: '' });
    }
  }
  return { external, embedded, bytesInside, movesInside };
}

/**
 * Decides where the values of a model go. Changes nothing and reads no file.
 * Throws a PreconditionError when the layout asks for too many data files.
 */
export function placeTensors(model: Model, options: PlanOptions): Placing {
  const homeOf = homeChooser(model, options);
  const { external, embedded, bytesInside, movesInside } = sortByHome(model, homeOf);
  // The name decides: what is called like safetensors is written so, and nothing else.
  const dataName = options.dataNameOf?.(undefined) ?? '';
  const placed = isSafetensorsName(dataName)
    ? placeSafetensors(external, dataName, options)
    : placeRuns(collectRuns(external), options);
  const isElsewhere = ({ described, data }: ExternalTensor, index: number) =>
    !refersTo(described.proto, { ...placed.placeOf(index), byteLength: payloadLength(data) });
  const duplicated = options.layout.embed === true ? duplicatedBytes(embedded) : 0;
  return {
    tensors: new PlannedTensors(model, homeOf, placed),
    dataFiles: placed.files,
    dataWrites: placed.written.map(writeOf),
    aliases: placed.aliases,
    valueBytes: placed.valueBytes + bytesInside,
    movesBytes: placed.files.length > 0 || movesInside || external.some(isElsewhere),
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
function changedPlaces(tensors: Iterable<PlannedTensor>) {
  const places = new Map<onnx.ITensorProto, TensorPlace>();
  const payloads = new Map<onnx.ITensorProto, TensorPayload>();
  for (const { named, placement } of tensors) {
    const { proto, data } = named.tensor;
    if (placement.kind === 'external') {
      // A message that was decoded may hold other values besides.
      const isSame = tensorHeader(proto) !== undefined && refersTo(proto, placement);
      if (!isSame) places.set(proto, entriesOf(placement));
    } else if (placement.kind !== 'proto' && data.kind !== 'proto') {
      if (data.kind === 'inline' && holds(proto, data)) continue;
      places.set(proto, placement.byteLength);
      payloads.set(proto, { data, tensor: named.name });
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
