/** From a wanted size to the shape of a decoder. Pure. */

import { UsageError } from './options.mjs';

/** @typedef {import('./options.mjs').ModelRequest} ModelRequest */

/**
 * Sizes of a decoder, in elements.
 * @typedef {object} DecoderShape
 * @property {number} vocabSize
 * @property {number} hiddenSize
 * @property {number} layers
 * @property {number} intermediateSize
 * @property {number} headSize
 * @property {number} heads
 * @property {number} kvHeads
 * @property {number} positions Rows of the rotary caches.
 */

/** How far the weights may be from the wanted size. */
const TOLERANCE = 0.05;

/** Intermediate over hidden size that published decoders lie around. */
const USUAL_RATIO = 3.5;

/**
 * Vocabulary and hidden size by number of elements, chosen so that tables take about a tenth to a half of the
 * weights, as in published decoders of these sizes.
 * @type {readonly { below: number, vocabSize: number, hiddenSize: number }[]}
 */
const PRESETS = [
  { below: 3e6, vocabSize: 2048, hiddenSize: 128 },
  { below: 16e6, vocabSize: 4096, hiddenSize: 256 },
  { below: 30e6, vocabSize: 8192, hiddenSize: 384 },
  { below: 100e6, vocabSize: 16384, hiddenSize: 512 },
  { below: 300e6, vocabSize: 32000, hiddenSize: 768 },
  { below: 700e6, vocabSize: 49152, hiddenSize: 1024 },
  { below: 1.5e9, vocabSize: 65536, hiddenSize: 1536 },
  { below: 3.5e9, vocabSize: 128256, hiddenSize: 2560 },
  { below: 10e9, vocabSize: 128256, hiddenSize: 4096 },
  { below: 25e9, vocabSize: 152064, hiddenSize: 5120 },
  { below: Number.POSITIVE_INFINITY, vocabSize: 128256, hiddenSize: 8192 },
];

/** @param {import('./options.mjs').WeightType} dtype */
export function elementBytes(dtype) {
  return dtype === 'fp32' ? 4 : 2;
}

/**
 * Heads of 128 elements from a hidden size of 2048, of 64 below, of 32 for the smallest; groups of 4, 3 or
 * 2 share keys and values where at least two groups come out.
 * @param {number} hiddenSize
 */
function attentionShape(hiddenSize) {
  const headSize = hiddenSize >= 2048 && hiddenSize % 128 === 0 ? 128 : hiddenSize >= 128 ? 64 : 32;
  const heads = hiddenSize / headSize;
  const group = [4, 3, 2].find((size) => heads % size === 0 && heads / size >= 2) ?? 1;
  return { headSize, heads, kvHeads: heads / group };
}

/** @param {Omit<DecoderShape, 'intermediateSize' | 'layers'>} shape */
function elementsPerLayerWithoutMlp({ hiddenSize, headSize, kvHeads }) {
  return 2 * hiddenSize * hiddenSize + 2 * hiddenSize * kvHeads * headSize + 2 * hiddenSize;
}

/**
 * Elements of all weights of a shape.
 * @param {DecoderShape} shape
 * @param {boolean} tied
 */
export function elementCount(shape, tied) {
  const { vocabSize, hiddenSize, intermediateSize, headSize, positions } = shape;
  const tables = (tied ? 1 : 2) * vocabSize * hiddenSize + positions * headSize + hiddenSize;
  const layer = elementsPerLayerWithoutMlp(shape) + 3 * hiddenSize * intermediateSize;
  return tables + shape.layers * layer;
}

/**
 * @param {number} vocabSize
 * @param {number} hiddenSize
 */
function frame(vocabSize, hiddenSize) {
  const positions = hiddenSize >= 1024 ? 4096 : 512;
  return { vocabSize, hiddenSize, positions, ...attentionShape(hiddenSize) };
}

/**
 * The shape of about `elements` elements: the number of layers and an intermediate size that is a multiple of 64
 * (128 from a hidden size of 1024) such that both the error and the distance from the usual ratio are small.
 * @param {number} elements
 * @param {ModelRequest} request
 */
function shapeOfSize(elements, request) {
  const preset = PRESETS.find(({ below }) => elements < below);
  if (preset === undefined) throw new UsageError(`${elements} elements are too many`);
  const base = frame(
    request.vocabSize ?? preset.vocabSize,
    request.hiddenSize ?? preset.hiddenSize,
  );
  const { hiddenSize } = base;
  const step = hiddenSize >= 1024 ? 128 : 64;
  const fixed = elementCount({ ...base, layers: 0, intermediateSize: 0 }, request.tied);
  const attention = elementsPerLayerWithoutMlp(base);
  const usualLayers = (elements - fixed) / (attention + 3 * hiddenSize * USUAL_RATIO * hiddenSize);
  const mostLayers = request.layers ?? Math.max(4, Math.ceil(usualLayers * 3));
  /** @type {DecoderShape | undefined} */
  let best;
  let bestError = Number.POSITIVE_INFINITY;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let layers = request.layers ?? 1; layers <= mostLayers; layers++) {
    const wanted = ((elements - fixed) / layers - attention) / (3 * hiddenSize);
    const intermediateSize = Math.max(step, Math.round(wanted / step) * step);
    const shape = { ...base, layers, intermediateSize };
    const error = Math.abs(elementCount(shape, request.tied) / elements - 1);
    const oddness = Math.abs(Math.log(intermediateSize / hiddenSize / USUAL_RATIO));
    const cost = Math.max(0, error - 0.01) * 100 + oddness;
    if (cost < bestCost) {
      best = shape;
      bestCost = cost;
      bestError = error;
    }
  }
  if (best !== undefined && bestError <= TOLERANCE) return best;
  const tables = fixed * elementBytes(request.dtype);
  throw new UsageError(
    `no ${request.dtype} decoder of ${elements * elementBytes(request.dtype)} bytes has vocabulary ` +
      `${base.vocabSize}, hidden size ${hiddenSize} and ${request.layers ?? 'at least 1'} layer(s); ` +
      `its tables alone take ${tables} bytes`,
    'change --size, or leave out --vocab, --hidden or --layers',
  );
}

/**
 * The shape of a decoder of about `nodes` nodes with small weights.
 * @param {number} nodes
 * @param {ModelRequest} request
 * @param {{ fixed: number, perLayer: number }} count Nodes outside of layers, and of a layer.
 */
function shapeOfNodes(nodes, request, count) {
  const base = frame(request.vocabSize ?? 512, request.hiddenSize ?? 64);
  const layers = Math.max(1, Math.round((nodes - count.fixed) / count.perLayer));
  return { ...base, layers, intermediateSize: base.hiddenSize };
}

/**
 * Throws a UsageError when no such decoder exists.
 * @param {ModelRequest} request
 * @param {{ fixed: number, perLayer: number }} nodeCount Of the layout asked for.
 * @returns {DecoderShape}
 */
export function chooseShape(request, nodeCount) {
  if (request.nodes !== undefined) return shapeOfNodes(request.nodes, request, nodeCount);
  const bytes = request.byteLength ?? 0;
  return shapeOfSize(bytes / elementBytes(request.dtype), request);
}
