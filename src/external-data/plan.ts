/**
 * The save plan: every output file and every byte of it, decided before the first one is written. `--dry-run` prints
 * it, the writer executes it, tests compare the two. Pure.
 */

import { formatSize } from '../bytes.ts';
import type { Model } from '../model/model.ts';
import { syncModel } from '../model/sync.ts';
import type { Tensor } from '../model/tensor.ts';
import { type EncodedModel, encodeModel } from '../proto/codec.ts';
import { isExternal } from '../proto/deferred.ts';
import type { onnx } from '../proto/onnx.ts';
import { ChangedPlaces } from './changed-places.ts';
import { type Home, HomedPayloads, homeChooser } from './homes.ts';
import {
  type DataFileOptions,
  type PlacedRuns,
  type PlannedFile,
  placeRuns,
} from './placed-runs.ts';
import { type Placement, PlannedTensors } from './planned-tensors.ts';
import { collectRuns, type PayloadData, type PayloadList, type TensorPayload } from './runs.ts';
import { isSafetensorsName } from './safetensors.ts';
import { placeSafetensors } from './safetensors-runs.ts';
import { refersTo } from './tensor-fields.ts';

/** How the output is laid out. */
export interface PlanOptions extends DataFileOptions {
  /** Name of the `.onnx` in the output directory. */
  readonly modelName: string;
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
  readonly tensors: PlannedTensors;
  readonly placed: PlacedRuns;
  /** The data files to write, in order of first use. */
  readonly dataFiles: readonly PlannedFile[];
  /** Each distinct run of the data files once, file by file in order of offsets; of one file where `name` is given. */
  dataWrites(name?: string): Iterable<PlannedWrite>;
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
  /** The payload of the gap that is left for a tensor. */
  payloadOf(tensor: onnx.ITensorProto): TensorPayload | undefined;
  /** Bytes of the files that are written. */
  readonly byteLength: number;
}

/** Bytes that embedded tensors share in the source and cannot share in one file. */
function duplicatedBytes(embedded: PayloadList): number {
  const runs = collectRuns(embedded);
  let bytes = 0;
  for (let index = 0; index < embedded.length; index++) bytes += runs.part(index).byteLength;
  for (let run = 0; run < runs.length; run++) bytes -= runs.byteLength(run);
  return bytes;
}

function isEmbeddedRange(home: Home): boolean {
  return home.kind === 'embedded' && home.data.kind === 'range';
}

/** Whether a value of the file is where it goes. */
function isInPlace(tensor: Tensor, placement: Placement): boolean {
  return placement.kind === 'external' ? refersTo(tensor, placement) : !isExternal(tensor.peeked);
}

function* dataWrites(placed: PlacedRuns, name?: string): Generator<PlannedWrite> {
  for (const { run, file, byteOffset } of placed.written(name)) {
    const { byteLength, data } = run;
    yield {
      file,
      byteOffset,
      byteLength,
      data,
      get tensor() {
        return run.tensor;
      },
    };
  }
}

/**
 * Decides where the values of a model go. Changes nothing and reads no file.
 * Throws a PreconditionError when the layout asks for too many data files.
 */
export function placeTensors(model: Model, options: PlanOptions): Placing {
  const homeOf = homeChooser(model, options);
  const all = model.tensorList();
  // The name decides: what is called like safetensors is written so, and nothing else.
  const dataName = options.dataNameOf?.(undefined) ?? '';
  const external = new HomedPayloads(all, homeOf, ({ kind }) => kind === 'external');
  const placed = isSafetensorsName(dataName)
    ? placeSafetensors(external, dataName, options)
    : placeRuns(collectRuns(external), options);
  const tensors = new PlannedTensors(all, homeOf, external, placed);
  let { valueBytes } = placed;
  let movesBytes = placed.files.length > 0;
  for (const { named, placement } of tensors) {
    if (placement.kind === 'inline' || placement.kind === 'embedded') {
      valueBytes += placement.byteLength;
    }
    movesBytes ||= !isInPlace(named.tensor, placement);
  }
  const duplicated =
    options.layout.embed === true
      ? duplicatedBytes(new HomedPayloads(all, homeOf, isEmbeddedRange))
      : 0;
  return {
    tensors,
    placed,
    dataFiles: placed.files,
    dataWrites: (name) => dataWrites(placed, name),
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

/**
 * Plans the output of a model after its surgeries. Brings `model.proto` up to date, but for the places of values,
 * which are those of the plan; reads no file; can be asked again with other options.
 * Throws a PreconditionError when everything is to go inside one `.onnx` of 2 GiB or more, or the layout asks for
 * too many data files.
 */
export function planSave(model: Model, options: PlanOptions): SavePlan {
  syncModel(model);
  const placing = placeTensors(model, options);
  const places = new ChangedPlaces(placing.tensors);
  const encoded = encodeModel(model.proto, places);
  const payloadOf = (tensor: onnx.ITensorProto) => places.payloadOf(tensor);
  const files = [{ name: options.modelName, byteLength: encoded.byteLength }, ...placing.dataFiles];
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return { ...placing, files, model: encoded, payloadOf, byteLength };
}
