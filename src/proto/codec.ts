/** Models from bytes and back, without the payloads of their tensors. */

import { FormatError, LatheError, PreconditionError } from '../errors.ts';
import './deferred.ts';
import { expandTokens, requireFileSize } from './expansion.ts';
import { NodeTape } from './headers.ts';
import type { PayloadField } from './layout.ts';
import { NameTable } from './name-table.ts';
import { onnx } from './onnx.js';
import type { Payload } from './skeleton.ts';
import { diagnose, scanSkeleton } from './skeleton.ts';
import { LosslessReader, LosslessWriter } from './strings.ts';
import { mayContainToken, PayloadTokens, tokenField } from './token.ts';
import type { ByteReader } from './wire.ts';

/** A decoded model and where the payloads are that it does not hold. */
export interface DecodedModel {
  /** Every field of the file, unknown ones in `$unknowns`. */
  readonly model: onnx.ModelProto;
  /** What is known of the nodes that are not decoded. */
  readonly tape: NodeTape;
  /**
   * Where the bytes of `tensor` are in the file, or undefined when the tensor's own fields hold its value. While
   * this is defined, the tensor's `rawData`, `floatData` or `doubleData` is a token and not data.
   */
  payloadOf(tensor: onnx.ITensorProto): Payload | undefined;
}

/** Bytes of the output that are in memory. */
export interface BytesSegment {
  readonly kind: 'bytes';
  readonly byteOffset: number;
  readonly bytes: Uint8Array;
}

/** A place in the output where the payload of `tensor` is to be written. */
export interface PayloadSegment {
  readonly kind: 'payload';
  readonly tensor: onnx.ITensorProto;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A serialized model: gapless segments in the order of the file. */
export interface EncodedModel {
  readonly byteLength: number;
  readonly segments: readonly (BytesSegment | PayloadSegment)[];
}

/**
 * Decodes the model in `source`, leaving tensor payloads of 256 bytes and more where they are. Memory: the skeleton
 * and the decoded messages. Unknown fields, absent fields and strings that are not UTF-8 survive
 * {@link encodeModel}. Throws a FormatError for anything that is not a model.
 * @param name the file's name for messages
 */
export function decodeModel(source: ByteReader, name: string): DecodedModel {
  if (source.byteLength === 0) {
    throw new FormatError('ERR_TRUNCATED', `${name}: the file is empty`, {
      hint: 'a download or a save was interrupted; fetch or export the model again',
    });
  }
  const { bytes, payloads, tokens } = scanSkeleton(source, name);
  const names = new NameTable(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const tape = new NodeTape(names, name);
  const model = decodeMessage(bytes, tape, name, source);
  return {
    model,
    tape,
    payloadOf(tensor) {
      const token = tokens.find(tensor);
      return token && payloads[token.index];
    },
  };
}

function decodeMessage(
  bytes: Uint8Array,
  tape: NodeTape,
  name: string,
  source: ByteReader,
): onnx.ModelProto {
  try {
    return onnx.ModelProto.decode(new LosslessReader(bytes, tape));
  } catch (cause) {
    if (cause instanceof LatheError) throw cause;
    diagnose(source, name);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError('ERR_PROTOBUF', `${name}: not a valid ONNX model (${reason})`, { cause });
  }
}

/**
 * Serializes `model` with a payload of the given byte length in each tensor of `payloads`. A payload goes where
 * {@link decodeModel} left it out (`float_data` or `double_data`, when the token is still there), else to
 * `raw_data`, replacing what the tensor holds there. The model is not changed. A model that comes from a canonical
 * writer and gets all its payloads back has the bytes it had.
 *
 * Memory: the skeleton two to three times. Throws a PreconditionError when a payload that was left out on decoding
 * is neither in `payloads` nor replaced, when a tensor of `payloads` is not in the model, when messages are nested
 * too deep, and when the file would have 2 GiB or more.
 */
export function encodeModel(
  model: onnx.IModelProto,
  payloads: ReadonlyMap<onnx.ITensorProto, number>,
): EncodedModel {
  const tokens = new PayloadTokens();
  const tensors = [...payloads.keys()];
  const bytes = encodeWithTokens(model, tensors, tokens);
  if (tensors.length === 0 && !mayContainToken(bytes)) {
    requireFileSize(bytes.length);
    return {
      byteLength: bytes.length,
      segments: [{ kind: 'bytes', byteOffset: 0, bytes }],
    };
  }
  const { text, holes } = expandTokens(bytes, tokens, [...payloads.values()]);
  requireAll(holes, tensors);
  const segments: (BytesSegment | PayloadSegment)[] = [];
  let byteOffset = 0;
  let textOffset = 0;
  const addText = (end: number) => {
    if (end > textOffset) {
      segments.push({ kind: 'bytes', byteOffset, bytes: text.subarray(textOffset, end) });
    }
    byteOffset += end - textOffset;
    textOffset = end;
  };
  for (const hole of holes) {
    addText(hole.textOffset);
    const tensor = tensors[hole.index] as onnx.ITensorProto;
    const byteLength = payloads.get(tensor) as number;
    segments.push({ kind: 'payload', tensor, byteOffset, byteLength });
    byteOffset += byteLength;
  }
  addText(text.length);
  return { byteLength: byteOffset, segments };
}

/** Serializes `model` while tensor `i` of `tensors` holds token `i`. */
function encodeWithTokens(
  model: onnx.IModelProto,
  tensors: readonly onnx.ITensorProto[],
  tokens: PayloadTokens,
): Uint8Array {
  const restore: (() => void)[] = [];
  try {
    tensors.forEach((tensor, index) => {
      const field = tokenField(tensor) ?? 'raw_data';
      restore.push(placeToken(tensor, field, tokens.bytes(field, index)));
    });
    return onnx.ModelProto.encode(model, new LosslessWriter()).finish(true);
  } catch (cause) {
    if (cause instanceof LatheError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PreconditionError('ERR_MODEL', `the graph cannot be written (${reason})`, { cause });
  } finally {
    for (const undo of restore.reverse()) undo();
  }
}

const PROPERTIES = {
  raw_data: 'rawData',
  float_data: 'floatData',
  double_data: 'doubleData',
} as const;

/** Puts a token into `field` of `tensor`; returns what undoes it, own property or not. */
function placeToken(tensor: onnx.ITensorProto, field: PayloadField, token: Buffer): () => void {
  const property = PROPERTIES[field];
  const before = Object.getOwnPropertyDescriptor(tensor, property);
  // A copy: the numbers must be aligned, and Node's small Buffers are not.
  const { buffer } = Uint8Array.from(token);
  if (field === 'raw_data') tensor.rawData = token;
  else if (field === 'float_data') tensor.floatData = [...new Float32Array(buffer)];
  else tensor.doubleData = [...new Float64Array(buffer)];
  return () => {
    if (before) Object.defineProperty(tensor, property, before);
    else delete tensor[property];
  };
}

function requireAll(
  holes: readonly { readonly index: number }[],
  tensors: readonly onnx.ITensorProto[],
): void {
  const placed = new Set(holes.map((hole) => hole.index));
  const missing = tensors.find((_, index) => !placed.has(index));
  if (missing === undefined) return;
  throw new PreconditionError(
    'ERR_TENSOR',
    `tensor "${missing.name ?? ''}" has a payload to write but is not in the model`,
  );
}
