/** Makes a decoder of a wanted size: shape, graph, weights, two files. */

import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onnx } from '../../dist/proto/onnx.js';
import { GENAI_NODES, genaiDecoder } from './genai.mjs';
import { TENSOR_TYPE } from './graph.mjs';
import { MOBIUS_NODES, mobiusDecoder } from './mobius.mjs';
import { UsageError } from './options.mjs';
import { chooseShape } from './shape.mjs';
import { placeWeights, WeightBytes, writeWeightsFile } from './weights-file.mjs';

/** @typedef {import('./options.mjs').ModelRequest} ModelRequest */
/** @typedef {import('./shape.mjs').DecoderShape} DecoderShape */
/** @typedef {import('./weights-file.mjs').PlacedWeight} PlacedWeight */

/**
 * What was made.
 * @typedef {object} MadeModel
 * @property {string} modelPath
 * @property {string} dataPath
 * @property {number} modelBytes
 * @property {number} dataBytes
 * @property {number} nodes
 * @property {DecoderShape} shape
 */

const MODEL_NAME = 'model.onnx';
const DATA_NAME = 'model.onnx.data';

const LAYOUTS = {
  mobius: { count: MOBIUS_NODES, describe: mobiusDecoder },
  genai: { count: GENAI_NODES, describe: genaiDecoder },
};

/** The file system cannot hold the model (exit 5). */
export class NoSpaceError extends Error {}

/** @param {PlacedWeight[]} placed @param {WeightBytes} bytes @returns {onnx.ITensorProto[]} */
function initializers(placed, bytes) {
  const dataType = TENSOR_TYPE[bytes.dtype];
  return placed.map((place) => {
    const { weight, byteOffset, byteLength } = place;
    const common = { name: weight.name, dims: [...weight.dims], dataType };
    if (byteOffset === undefined) {
      return { ...common, rawData: Buffer.concat([...bytes.pieces(place)]) };
    }
    const externalData = [
      { key: 'location', value: DATA_NAME },
      { key: 'offset', value: String(byteOffset) },
      { key: 'length', value: String(byteLength) },
    ];
    return { ...common, dataLocation: onnx.TensorProto.DataLocation.EXTERNAL, externalData };
  });
}

/**
 * Writes model.onnx and model.onnx.data into `directory`, which is created; neither may exist. The graph is written
 * last, so a directory with a model.onnx is complete. Memory: the graph and about 50 MB, whatever the size.
 * Throws a UsageError when no such decoder exists, a NoSpaceError when the disk is too small for it.
 * @param {ModelRequest} request
 * @param {string} directory
 * @returns {MadeModel}
 */
export function makeModel(request, directory) {
  const layout = LAYOUTS[request.layout];
  const shape = chooseShape(request, layout.count);
  const modelPath = join(directory, MODEL_NAME);
  const dataPath = join(directory, DATA_NAME);
  for (const path of [modelPath, dataPath]) {
    if (existsSync(path)) {
      throw new UsageError(`${path} exists`, 'remove it, or name another directory');
    }
  }
  const { parts, irVersion, opset } = layout.describe(shape, request);
  const plan = placeWeights(parts.weights, request.dtype);
  mkdirSync(directory, { recursive: true });
  const { bavail, bsize } = statfsSync(directory);
  if (!request.sparse && plan.byteLength > bavail * bsize) {
    throw new NoSpaceError(
      `${directory}: ${plan.byteLength} bytes wanted, ${bavail * bsize} bytes free`,
    );
  }
  const bytes = new WeightBytes(request.dtype, request.seed);
  const model = onnx.ModelProto.encode({
    irVersion,
    producerName: 'onnx-lathe make-model',
    opsetImport: [
      { domain: '', version: opset },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'main_graph',
      node: parts.nodes,
      initializer: [...initializers(plan.placed, bytes), ...parts.constants],
      input: parts.inputs,
      output: parts.outputs,
    },
  }).finish();
  try {
    writeWeightsFile(dataPath, plan, bytes, request.sparse);
  } catch (error) {
    rmSync(dataPath, { force: true });
    throw error;
  }
  writeFileSync(modelPath, model, { flag: 'wx' });
  return {
    modelPath,
    dataPath,
    modelBytes: model.length,
    dataBytes: plan.byteLength,
    nodes: parts.nodes.length,
    shape,
  };
}
