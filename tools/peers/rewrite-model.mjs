/** Writing a model as the library holds it, unedited, without planning anew where its bytes go. */

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { openModel } from '../../dist/external-data/open-model.js';
import { syncModel } from '../../dist/model/sync.js';
import { encodeModel } from '../../dist/proto/codec.js';

const PIECE_BYTES = 1024 * 1024;

/**
 * Looks into every message below `message`, so that none is written as it came.
 * @param {Record<string, unknown>} message
 */
function decodeAll(message) {
  // The fields of a message that is not decoded yet are accessors of its prototype.
  for (const field in message) {
    const value = message[field];
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) continue;
    decodeAll(/** @type {Record<string, unknown>} */ (value));
  }
}

/**
 * @param {import('../../dist/model/tensor-data.js').FileRange} range
 * @param {number} target @param {number} position
 */
function copyRange({ file, byteOffset, byteLength }, target, position) {
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, byteLength));
  for (let done = 0; done < byteLength; ) {
    const want = Math.min(piece.length, byteLength - done);
    const count = readSync(file.fd, piece, 0, want, byteOffset + done);
    if (count === 0) throw new Error(`${file.path} ends early`);
    writeSync(target, piece, 0, count, position + done);
    done += count;
  }
}

/**
 * Writes the model at `input` to `output`. Returns its data files.
 * @param {string} input @param {string} output @param {boolean} isDecoded every message is decoded first
 * @returns {string[]}
 */
export function rewriteModel(input, output, isDecoded) {
  const opened = openModel(input);
  try {
    rewrite(opened, output, isDecoded);
    const { files } = opened;
    return files.files.filter((file) => file !== files.model).map((file) => file.path);
  } finally {
    opened[Symbol.dispose]();
  }
}

/**
 * @param {import('../../dist/external-data/open-model.js').OpenedModel} opened
 * @param {string} output @param {boolean} isDecoded
 */
function rewrite({ model, files }, output, isDecoded) {
  // Payloads that the .onnx itself holds come from where they are.
  /** @type {Map<object, import('../../dist/model/tensor-data.js').FileRange>} */
  const embedded = new Map();
  for (const { tensor } of model.tensors()) {
    const { data } = tensor;
    if (data.kind === 'range' && data.file === files.model) embedded.set(tensor.proto, data);
  }
  if (isDecoded)
    decodeAll(/** @type {Record<string, unknown>} */ (/** @type {unknown} */ (model.proto)));
  syncModel(model);
  const lengths = new Map([...embedded].map(([proto, range]) => [proto, range.byteLength]));
  const target = openSync(output, 'w');
  try {
    encodeModel(model.proto, lengths).writeTo({
      bytes(bytes, byteOffset) {
        writeSync(target, bytes, 0, bytes.length, byteOffset);
      },
      payload(tensor, byteOffset) {
        const range = embedded.get(tensor);
        if (range === undefined) throw new Error('a payload of unknown origin');
        copyRange(range, target, byteOffset);
      },
    });
  } finally {
    closeSync(target);
  }
}
