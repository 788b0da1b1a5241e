/** A decoder as onnxruntime/mobius writes it: rows table, standard Attention, separate q, k and v. Pure. */

import { GraphParts } from './graph.mjs';

/** @typedef {import('./shape.mjs').DecoderShape} DecoderShape */

const EPSILON = { float: 1e-6 };

/** Nodes outside of layers (tied; one less when untied) and of one layer. */
export const MOBIUS_NODES = { fixed: 14, perLayer: 15 };

/** @param {GraphParts} parts */
function rotaryAndMask(parts) {
  const axis = parts.integers('const_1d_0', [1]);
  /** @param {string} opType @param {number} id @param {string[]} input @param {object} [attributes] */
  const node = (opType, id, input, attributes = {}) =>
    parts.node(opType, `model/${opType}_node_${id}`, input, [`v_model.${opType}_${id}`], {
      ...attributes,
    });
  const cosines = node('Gather', 1, ['model.rotary_emb.cos_cache', 'position_ids']);
  const sines = node('Gather', 2, ['model.rotary_emb.sin_cache', 'position_ids']);
  const keep = node('Unsqueeze', 4, [node('Cast', 3, ['attention_mask'], { to: 9 }), axis]);
  const batch = node('Shape', 5, ['input_ids'], { start: 0, end: 1 });
  const sequence = node('Shape', 6, ['input_ids'], { start: 1, end: 2 });
  const total = node('Shape', 7, ['attention_mask'], { start: 1, end: 2 });
  const dims = node('Concat', 8, [batch, sequence, total], { axis: 0 });
  const mask = node('Unsqueeze', 10, [node('Expand', 9, [keep, dims]), axis]);
  return { cosines, sines, mask };
}

/**
 * @param {GraphParts} parts
 * @param {DecoderShape} shape
 * @param {number} index
 * @param {{ normed: string, residual: string, cosines: string, sines: string, mask: string }} values
 */
function layer(parts, shape, index, { normed, residual, cosines, sines, mask }) {
  const { hiddenSize, intermediateSize, headSize, heads, kvHeads } = shape;
  const prefix = `model.layers.${index}`;
  const path = `model/layers.${index}`;
  /** @param {string} part @param {string} input @param {number} k @param {number} n */
  const linear = (part, input, k, n) => {
    const weight = parts.weight(`${prefix}.${part}.weight_t`, [k, n]);
    const name = `${path}/${part.replace('.', '/')}/MatMul_node`;
    return parts.node('MatMul', name, [input, weight], [`v_${prefix}.${part}.MatMul`]);
  };
  /** @param {string} which @param {string} input @param {number} count */
  const rotate = (which, input, count) =>
    parts.node(
      'RotaryEmbedding',
      `${path}/self_attn/RotaryEmbedding_${which}`,
      [input, cosines, sines],
      [`v_${prefix}.self_attn.RotaryEmbedding_${which}`],
      { num_heads: count, rotary_embedding_dim: 0, interleaved: 0 },
    );
  const query = linear('self_attn.q_proj', normed, hiddenSize, hiddenSize);
  const key = linear('self_attn.k_proj', normed, hiddenSize, kvHeads * headSize);
  const value = linear('self_attn.v_proj', normed, hiddenSize, kvHeads * headSize);
  const past = `past_key_values.${index}`;
  const attention = parts.node(
    'Attention',
    `${path}/self_attn/Attention_node`,
    [
      rotate('q', query, heads),
      rotate('k', key, kvHeads),
      value,
      mask,
      `${past}.key`,
      `${past}.value`,
    ],
    [`v_${prefix}.self_attn.Attention`, `present.${index}.key`, `present.${index}.value`],
    {
      is_causal: 1,
      q_num_heads: heads,
      kv_num_heads: kvHeads,
      scale: { float: 1 / Math.sqrt(headSize) },
    },
  );
  const attended = linear('self_attn.o_proj', attention, hiddenSize, hiddenSize);
  const middle = skipNorm(parts, `${prefix}.post_attention_layernorm`, residual, attended, shape);
  const gate = linear('mlp.gate_proj', middle.normed, hiddenSize, intermediateSize);
  /** @param {string} opType @param {string} id @param {string[]} input */
  const pointwise = (opType, id, input) =>
    parts.node(opType, `${path}/mlp/${id}`, input, [`v_${prefix}.mlp.${id}`]);
  const activated = pointwise('Mul', 'Mul_0', [gate, pointwise('Sigmoid', 'Sigmoid', [gate])]);
  const up = linear('mlp.up_proj', middle.normed, hiddenSize, intermediateSize);
  const product = pointwise('Mul', 'Mul_1', [activated, up]);
  const down = linear('mlp.down_proj', product, intermediateSize, hiddenSize);
  const last = index === shape.layers - 1;
  const next = last ? 'model.norm' : `model.layers.${index + 1}.input_layernorm`;
  return skipNorm(parts, next, middle.residual, down, shape);
}

/**
 * Adds `residual` and `update` and normalizes the sum.
 * @param {GraphParts} parts
 * @param {string} name
 * @param {string} residual
 * @param {string} update
 * @param {DecoderShape} shape
 */
function skipNorm(parts, name, residual, update, { hiddenSize }) {
  const weight = parts.weight(`${name}.weight`, [hiddenSize], 'norm');
  const sum = `v_${name}.sum`;
  const normed = parts.node(
    'com.microsoft.SkipSimplifiedLayerNormalization',
    `node_${name}`,
    [residual, update, weight],
    [`v_${name}.RMSNormalization`, '', '', sum],
    { epsilon: EPSILON },
  );
  return { normed, residual: sum };
}

/**
 * @param {DecoderShape} shape
 * @param {{ dtype: import('./options.mjs').WeightType, tied: boolean }} options
 */
export function mobiusDecoder(shape, { dtype, tied }) {
  const { vocabSize, hiddenSize, headSize, kvHeads, positions } = shape;
  const parts = new GraphParts(dtype);
  const pastDims = ['batch', kvHeads, 'past_sequence_len', headSize];
  const presentDims = ['batch', kvHeads, 'past_sequence_len + sequence_len', headSize];
  parts.idsInput('input_ids', ['batch', 'sequence_len']);
  parts.idsInput('attention_mask', ['batch', 'past_seq_len + seq_len']);
  parts.idsInput('position_ids', ['batch', 'sequence_len']);
  parts.floatOutput('logits', ['batch', 'sequence_len', vocabSize]);
  for (let index = 0; index < shape.layers; index++) {
    for (const part of ['key', 'value']) {
      parts.floatInput(`past_key_values.${index}.${part}`, pastDims);
      parts.floatOutput(`present.${index}.${part}`, presentDims);
    }
  }
  const table = parts.weight('model.embed_tokens.weight', [vocabSize, hiddenSize]);
  parts.weight('model.rotary_emb.cos_cache', [positions, headSize / 2], 'cosines');
  parts.weight('model.rotary_emb.sin_cache', [positions, headSize / 2], 'sines');
  const residual = parts.node(
    'Gather',
    'model/embed_tokens/Gather_node_0',
    [table, 'input_ids'],
    ['v_model.embed_tokens.Gather_0'],
  );
  const shared = rotaryAndMask(parts);
  const firstNorm = parts.weight('model.layers.0.input_layernorm.weight', [hiddenSize], 'norm');
  const normed = parts.node(
    'RMSNormalization',
    'model/layers.0/input_layernorm/RMSNormalization_node',
    [residual, firstNorm],
    ['v_model.layers.0.input_layernorm.RMSNormalization'],
    { axis: -1, epsilon: EPSILON },
  );
  let state = { normed, residual };
  for (let index = 0; index < shape.layers; index++) {
    state = layer(parts, shape, index, { ...state, ...shared });
  }
  const weight = tied
    ? parts.node('Transpose', 'lm_head/Transpose_node', [table], ['v_lm_head.Transpose'], {
        perm: [1, 0],
      })
    : parts.weight('lm_head.weight_t', [hiddenSize, vocabSize]);
  parts.node('MatMul', 'lm_head/MatMul_node', [state.normed, weight], ['logits']);
  return { parts, irVersion: 11, opset: 24 };
}
