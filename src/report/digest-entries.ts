/** What a digest manifest says of each tensor of a model, made one at a time. */

import { hash } from 'node:crypto';
import { basename } from 'node:path';
import { DType, type DTypeCode } from '../dtypes.ts';
import type { OpenedFiles } from '../external-data/open-files.ts';
import { Tensor } from '../model/tensor.ts';
import { bytesInMemory } from '../model/tensor-bytes.ts';
import type { DecodedModel } from '../proto/codec.ts';
import { peek } from '../proto/deferred.ts';
import { longToNumber } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { CheckedTensors } from './check-data.ts';
import { DIGEST_BYTES } from './hash-ranges.ts';
import { tensorPlaces } from './tensor-places.ts';
import { TensorSource } from './tensor-ranges.ts';

/** One tensor: its name, and its value as `raw_data` would hold it. */
export interface DigestEntry {
  readonly name: string;
  /** Data file, relative to the model; the `.onnx` for what is inside. */
  readonly file: string;
  /** Undefined for a small value inside the `.onnx`. */
  readonly byteOffset?: number;
  readonly byteLength: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** A tensor whose bytes could not be had; there is a finding that says why. */
export interface UnreadableEntry {
  readonly name: string;
  readonly sha256: undefined;
}

/** Strings one after the other, the length of each before it in eight bytes. */
function stringBytes(strings: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    strings.flatMap((text) => {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(text.byteLength));
      return [length, text];
    }),
  );
}

/** The value of a decoded tensor that is in memory. */
function valueInMemory(proto: onnx.ITensorProto): Uint8Array {
  const dtype: DTypeCode = proto.dataType ?? 0;
  if (proto.rawData?.byteLength) return proto.rawData;
  if (dtype === DType.STRING) return stringBytes(proto.stringData ?? []);
  const dims = (proto.dims ?? []).map((dim) => longToNumber(dim, 'a dimension'));
  const bytes = bytesInMemory(new Tensor(proto, dtype, dims, { kind: 'proto' }));
  // Types of six bits are not packed in int32_data.
  return bytes ?? new Uint8Array(Int32Array.from(proto.int32Data ?? []).buffer);
}

function inMemoryEntry(proto: onnx.ITensorProto, name: string, file: string): DigestEntry {
  const bytes = valueInMemory(peek(proto));
  return { name, file, byteLength: bytes.byteLength, sha256: hash('sha256', bytes, 'hex') };
}

/**
 * The entries of all tensors, in the order of {@link tensorPlaces}. Memory: one entry.
 * @param digests those of the ranges, as `hashRanges` gives them
 */
export function* digestEntries(
  { model, tape }: DecodedModel,
  files: OpenedFiles,
  { sources, ranges, locations }: CheckedTensors,
  digests: Buffer,
): Generator<DigestEntry | UnreadableEntry> {
  const modelName = basename(files.model.path);
  let tensor = 0;
  let index = 0;
  for (const placed of tensorPlaces(model, tape)) {
    if (placed.kind !== 'tensor') continue;
    const source = sources.get(tensor++);
    const name = placed.where.tensor;
    if (source === TensorSource.NONE) yield { name, sha256: undefined };
    else if (source === TensorSource.MEMORY) yield inMemoryEntry(placed.proto, name, modelName);
    else {
      const { file, byteOffset, byteLength } = ranges.range(index);
      const at = DIGEST_BYTES * index++;
      const sha256 = digests.toString('hex', at, at + DIGEST_BYTES);
      const shown = locations.get(file) ?? modelName;
      yield { name, file: shown, byteOffset, byteLength, sha256 };
    }
  }
}
