/** A decoder as the onnxruntime-genai builder writes it: columns table, packed GroupQueryAttention. Pure. */

import { GraphParts } from './graph.mjs';

/** @typedef {import('./shape.mjs').DecoderShape} DecoderShape */

const EPSILON = { float: 1e-6 };

/** Nodes outside of layers (tied; one less when untied) and of one layer. */
export const GENAI_NODES = { fixed: 10, perLayer: 11 };

/**
 * Lengths that GroupQueryAttention wants: of each sequence less one, and of the whole cache.
 * @param {GraphParts} parts
 */
function sequenceLengths(parts) {
  const path = '/model/attn_mask_reformat/attn_mask_subgraph';
  const one = parts.integers('/model/constants/INT64/[1]', [1]);
  const index = parts.integers('/model/constants/INT64/1', 1);
  /** @param {string} opType @param {string} place @param {string[]} input @param {object} [attributes] */
  const node = (opType, place, input, attributes = {}) =>
    parts.node(opType, `${path}/${place}`, input, [`${path}/${place}/output_0`], { ...attributes });
  const sum = node('ReduceSum', 'ReduceSum', ['attention_mask', one], { keepdims: 0 });
  const less = node('Sub', 'Sub', [sum, one]);
  const dims = node('Shape', 'Shape', ['attention_mask']);
  const width = node('Gather', 'Gather', [dims, index], { axis: 0 });
  return [
    node('Cast', 'Sub/Cast', [less], { to: 6 }),
    node('Cast', 'Gather/Cast', [width], { to: 6 }),
  ];
}

/**
 * Adds `residual` and `update` and normalizes the sum.
 * @param {GraphParts} parts
 * @param {string} place
 * @param {string} residual
 * @param {string} update
 * @param {DecoderShape} shape
 */
function skipNorm(parts, place, residual, update, { hiddenSize }) {
  const weight = parts.weight(`model.${place}.weight`.replaceAll('/', '.'), [hiddenSize], 'norm');
  const path = `/model/${place}`;
  const normed = parts.node(
    'com.microsoft.SkipSimplifiedLayerNormalization',
    `${path}/SkipLayerNorm`,
    [residual, update, weight],
    [`${path}/output_0`, '', '', `${path}/output_3`],
    { epsilon: EPSILON },
  );
  return { normed, residual: `${path}/output_3` };
}

/**
 * @param {GraphParts} parts
 * @param {DecoderShape} shape
 * @param {number} index
 * @param {readonly string[]} lengths
 * @param {{ normed: string, residual: string }} state
 */
function layer(parts, shape, index, lengths, { normed, residual }) {
  const { hiddenSize, intermediateSize, headSize, heads, kvHeads } = shape;
  const path = `/model/layers.${index}`;
  /** @param {string} place @param {string} input @param {number} k @param {number} n */
  const linear = (place, input, k, n) => {
    const dotted = place.replace('/', '.');
    const weight = parts.weight(`model.layers.${index}.${dotted}.MatMul.weight`, [k, n]);
    const name = `${path}/${place}/MatMul`;
    return parts.node('MatMul', name, [input, weight], [`${name}/output_0`]);
  };
  const packed = linear('attn/qkv_proj', normed, hiddenSize, (heads + 2 * kvHeads) * headSize);
  const past = `past_key_values.${index}`;
  const attention = parts.node(
    'com.microsoft.GroupQueryAttention',
    `${path}/attn/GroupQueryAttention`,
    [packed, '', '', `${past}.key`, `${past}.value`, ...lengths, 'cos_cache', 'sin_cache'],
    [`${path}/attn/GroupQueryAttention/output_0`, `present.${index}.key`, `present.${index}.value`],
    {
      num_heads: heads,
      kv_num_heads: kvHeads,
      scale: { float: 1 / Math.sqrt(headSize) },
      do_rotary: 1,
      rotary_interleaved: 0,
    },
  );
  const attended = linear('attn/o_proj', attention, hiddenSize, hiddenSize);
  const norm = `layers.${index}/post_attention_layernorm`;
  const middle = skipNorm(parts, norm, residual, attended, shape);
  const gate = linear('mlp/gate_proj', middle.normed, hiddenSize, intermediateSize);
  const up = linear('mlp/up_proj', middle.normed, hiddenSize, intermediateSize);
  /** @param {string} opType @param {string} place @param {string[]} input */
  const pointwise = (opType, place, input) =>
    parts.node(opType, `${path}/mlp/${place}`, input, [`${path}/mlp/${place}/output_0`]);
  const sigmoid = pointwise('Sigmoid', 'act_fn/Sigmoid', [gate]);
  const activated = pointwise('Mul', 'act_fn/Mul', [gate, sigmoid]);
  const product = pointwise('Mul', 'Mul', [activated, up]);
  const down = linear('mlp/down_proj', product, intermediateSize, hiddenSize);
  const last = index === shape.layers - 1;
  const next = `layers.${index + 1}/${last ? 'final_norm_layernorm' : 'input_layernorm'}`;
  return skipNorm(parts, next, middle.residual, down, shape);
}

/**
 * @param {GraphParts} parts
 * @param {DecoderShape} shape
 */
function declareInputsAndOutputs(parts, { vocabSize, headSize, kvHeads, layers }) {
  const pastDims = ['batch_size', kvHeads, 'past_sequence_length', headSize];
  const presentDims = ['batch_size', kvHeads, 'total_sequence_length', headSize];
  parts.idsInput('input_ids', ['batch_size', 'sequence_length']);
  parts.idsInput('attention_mask', ['batch_size', 'total_sequence_length']);
  parts.floatOutput('logits', ['batch_size', 'sequence_length', vocabSize]);
  for (const part of ['key', 'value']) {
    for (let index = 0; index < layers; index++) {
      parts.floatInput(`past_key_values.${index}.${part}`, pastDims);
      parts.floatOutput(`present.${index}.${part}`, presentDims);
    }
  }
}

/**
 * @param {DecoderShape} shape
 * @param {{ dtype: import('./options.mjs').WeightType, tied: boolean }} options
 */
export function genaiDecoder(shape, { dtype, tied }) {
  const { vocabSize, hiddenSize, headSize, positions } = shape;
  const parts = new GraphParts(dtype);
  declareInputsAndOutputs(parts, shape);
  const head = parts.weight('lm_head.MatMul.weight', [hiddenSize, vocabSize]);
  const lengths = sequenceLengths(parts);
  const table = tied
    ? parts.node(
        'Transpose',
        '/model/embed_tokens/Transpose',
        [head],
        ['/model/embed_tokens/Transpose/output_0'],
        { perm: [1, 0] },
      )
    : parts.weight('model.embed_tokens.weight', [vocabSize, hiddenSize]);
  parts.weight('cos_cache', [positions, headSize / 2], 'cosines');
  parts.weight('sin_cache', [positions, headSize / 2], 'sines');
  const residual = parts.node(
    'Gather',
    '/model/embed_tokens/Gather',
    [table, 'input_ids'],
    ['/model/embed_tokens/Gather/output_0'],
  );
  const norm = parts.weight('model.layers.0.input_layernorm.weight', [hiddenSize], 'norm');
  const normed = parts.node(
    'SimplifiedLayerNormalization',
    '/model/layers.0/input_layernorm/LayerNorm',
    [residual, norm],
    ['/model/layers.0/input_layernorm/output_0'],
    { axis: -1, epsilon: EPSILON, stash_type: 1 },
  );
  let state = { normed, residual };
  for (let index = 0; index < shape.layers; index++) {
    state = layer(parts, shape, index, lengths, state);
  }
  parts.node('MatMul', '/lm_head/MatMul', [state.normed, head], ['logits']);
  return { parts, irVersion: 10, opset: 21 };
}
