/** Models from bytes and back, without the payloads of their tensors. */

import { FormatError, LatheError, PreconditionError } from '../errors.ts';
import './deferred.ts';
import { NodeTape } from './headers.ts';
import { FILE_BYTE_LIMIT } from './limits.ts';
import {
  MeasuringWriter,
  type ModelSink,
  type ModelWriter,
  StreamWriter,
  type TensorPlaces,
} from './model-writer.ts';
import { NameTable } from './name-table.ts';
import { onnx } from './onnx.ts';
import './placed-tensors.ts';
import { LosslessReader } from './reader.ts';
import type { Payload } from './skeleton.ts';
import { diagnose, scanSkeleton } from './skeleton.ts';
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

/** A model to be written: its exact length, and its bytes as often as they are asked for. */
export interface EncodedModel {
  readonly byteLength: number;
  /** Hands the model to `sink` from front to back. The model and its tensors must be what they were. */
  writeTo(sink: ModelSink): void;
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
 * Serializes `model` with the values of the tensors in `places` elsewhere. A payload goes where {@link decodeModel}
 * left it out (`float_data` or `double_data`, when the token is still there), else to `raw_data`, replacing what the
 * tensor holds there. The model is not changed. A model that comes from a canonical writer and gets all its payloads
 * back has the bytes it had.
 *
 * Memory: the model without its payloads where that is small, else one large message. Throws a PreconditionError when
 * a payload that was left out on decoding is neither in `places` nor replaced, when a tensor of `places` is not in the
 * model, when messages are nested too deep, and when the file would have 2 GiB or more.
 */
export function encodeModel(model: onnx.IModelProto, places: TensorPlaces): EncodedModel {
  const first = encodeTo(new MeasuringWriter(places), model);
  const { byteLength, lengths, placed, isWhole } = first;
  requireFileSize(byteLength);
  if (placed !== places.size) {
    const lost = places.size - placed;
    throw new PreconditionError('ERR_TENSOR', `${lost} tensors to place are not in the model`);
  }
  if (isWhole) return { byteLength, writeTo: (sink) => first.handOn(sink) };
  return {
    byteLength,
    writeTo(sink) {
      const second = encodeTo(new StreamWriter(places, lengths, sink), model);
      second.flush();
      if (second.byteLength !== byteLength)
        throw new Error('the model changed while it was written');
    },
  };
}

function encodeTo<Writer extends ModelWriter>(writer: Writer, model: onnx.IModelProto): Writer {
  try {
    onnx.ModelProto.encode(model, writer);
    return writer;
  } catch (cause) {
    if (cause instanceof LatheError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PreconditionError('ERR_MODEL', `the graph cannot be written (${reason})`, { cause });
  }
}

/** Throws a PreconditionError when a serialized model of `byteLength` bytes is more than protobuf can hold. */
function requireFileSize(byteLength: number): void {
  if (byteLength <= FILE_BYTE_LIMIT) return;
  throw new PreconditionError(
    'ERR_LIMIT',
    `the model would have ${byteLength} bytes in one .onnx file, protobuf ends at 2^31-1`,
    { hint: 'keep the weights in external data', details: { byteLength } },
  );
}
