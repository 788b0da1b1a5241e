import { describe, expect, it } from 'vitest';
import { PreconditionError } from '../../src/errors.ts';
import { missingGeometry, planFeeds } from '../../src/evaluate/feeds.ts';
import type { ValueInfo } from '../../src/evaluate/session.ts';

function value(name: string, type: string, ...shape: (number | string)[]): ValueInfo {
  return { name, type, shape };
}

const IDS = value('input_ids', 'int64', 'batch', 'sequence_len');
const LOGITS = value('logits', 'float32', 'batch', 'sequence_len', 512);
const WINDOW = Int32Array.of(7, 300, 0);

function feed(input: ValueInfo, outputs: readonly ValueInfo[] = [LOGITS]) {
  const inputs = input.name.endsWith('input_ids') ? [input] : [IDS, input];
  const tensor = planFeeds(inputs, outputs).feedsFor(WINDOW).get(input.name);
  return { dims: tensor?.dims, values: Array.from(tensor?.data ?? [], Number) };
}

function pair(past: ValueInfo, ...shape: (number | string)[]) {
  const present = past.name.replace('past_key_values', 'present').replace('past_', 'present_');
  return [LOGITS, value(present, past.type, ...shape)];
}

describe('token inputs', () => {
  it.each([
    ['input_ids', 'int64'],
    ['decoder_input_ids', 'int32'],
  ])('%s as %s', (name, type) => {
    const plan = planFeeds([value(name, type, 'b', 's')], [LOGITS]);
    const tensor = plan.feedsFor(WINDOW).get(name);
    expect(tensor).toMatchObject({ type, dims: [1, 3] });
    expect(Array.from(tensor?.data ?? [], Number)).toEqual([7, 300, 0]);
  });

  it.each(['int64', 'int32', 'bool', 'float32', 'float16'])('attention_mask of %s', (type) => {
    const mask = value('attention_mask', type, 'batch', 'past_seq_len + seq_len');
    const one = type === 'float16' ? 0x3c00 : 1;
    expect(feed(mask)).toEqual({ dims: [1, 3], values: [one, one, one] });
  });

  it('attention_mask of four dimensions is causal: boolean, or additive when float', () => {
    const boolean = value('attention_mask', 'bool', 'b', 1, 's', 't');
    expect(feed(boolean)).toEqual({ dims: [1, 1, 3, 3], values: [1, 0, 0, 1, 1, 0, 1, 1, 1] });
    const additive = value('attention_mask', 'float32', 'b', 1, 's', 't');
    const m = -65504;
    expect(feed(additive).values).toEqual([0, m, m, 0, 0, m, 0, 0, 0]);
  });

  it('position_ids of one, two and three dimensions', () => {
    expect(feed(value('position_ids', 'int64', 's'))).toEqual({ dims: [3], values: [0, 1, 2] });
    expect(feed(value('position_ids', 'int64', 'b', 's'))).toEqual({
      dims: [1, 3],
      values: [0, 1, 2],
    });
    expect(feed(value('position_ids', 'int64', 3, 'b', 's'))).toEqual({
      dims: [3, 1, 3],
      values: [0, 1, 2, 0, 1, 2, 0, 1, 2],
    });
  });

  it('lengths and switches', () => {
    expect(feed(value('past_seq_len', 'int32', 'batch', 1))).toEqual({ dims: [1, 1], values: [2] });
    expect(feed(value('total_seq_len', 'int32', 1))).toEqual({ dims: [1], values: [3] });
    expect(feed(value('num_logits_to_keep', 'int64'))).toEqual({ dims: [], values: [3] });
    expect(feed(value('use_cache_branch', 'bool', 1))).toEqual({ dims: [1], values: [0] });
  });

  it('refuses a graph whose batch, length or sections do not fit', () => {
    expect(() => feed(value('input_ids', 'int64', 4, 's'))).toThrow(
      /"input_ids" has shape \[4, s\]/,
    );
    expect(() => feed(value('input_ids', 'int64', 1, 128))).toThrow(/one window of tokens needs/);
    expect(() => feed(value('position_ids', 'int64', 'x', 'b', 's'))).toThrow(PreconditionError);
    expect(feed(value('input_ids', 'int64', 1, 3)).values).toEqual([7, 300, 0]);
  });
});

describe('states', () => {
  it('a cache starts with no tokens: the axis that grows is the one', () => {
    const past = value('past_key_values.3.key', 'float16', 'batch', 2, 'past', 64);
    expect(feed(past, pair(past, 'batch', 2, 'past + s', 64)).dims).toEqual([1, 2, 0, 64]);
    const early = value('past_key_0', 'float32', 'batch', 'kept', 8, 64);
    expect(feed(early, pair(early, 'batch', 'grown', 8, 64)).dims).toEqual([1, 0, 8, 64]);
  });

  it('without a present, the name of the symbol or the usual place decides', () => {
    expect(feed(value('past_value_0', 'float32', 'batch', 'past_length', 64)).dims).toEqual([
      1, 0, 64,
    ]);
    expect(feed(value('past_value_0', 'float32', 'batch', 4, '', 16)).dims).toEqual([1, 4, 0, 16]);
    expect(feed(value('past_value_0', 'float32', 1, 4, '', 16)).dims).toEqual([1, 4, 0, 16]);
  });

  it('each layer keeps its own heads and sizes', () => {
    const keys = [
      value('past_key_values.3.key', 'float32', 'batch', 2, 'past_seq', 32),
      value('past_key_values.7.key', 'float32', 'batch', 8, 'past_seq', 64),
    ];
    const feeds = planFeeds([IDS, ...keys], [LOGITS]).feedsFor(WINDOW);
    expect(feeds.get('past_key_values.3.key')?.dims).toEqual([1, 2, 0, 32]);
    expect(feeds.get('past_key_values.7.key')?.dims).toEqual([1, 8, 0, 64]);
  });

  it('convolution and recurrent states are zeros of the declared shape', () => {
    const conv = value('past_key_values.0.conv_state', 'float32', 'batch', 4, 3);
    expect(feed(conv)).toEqual({ dims: [1, 4, 3], values: new Array(12).fill(0) });
    const open = value('past_conv.0', 'float32', 'batch', 4, 'window');
    expect(() => feed(open)).toThrow(/"past_conv.0" has shape \[batch, 4, window\].*axis 2/);
  });

  it('asks for the sizes a graph leaves open', () => {
    const past = value('past_key_values.0.key', 'float16', 'batch', 2, 'past_length', 'kv_dim');
    const outputs = pair(past, 'batch', 2, 'total_length', 'kv_dim');
    expect([...missingGeometry([IDS, past], outputs)]).toEqual(['headSize']);
    expect(() => planFeeds([IDS, past], outputs)).toThrow(/axis 3/);
    const feeds = planFeeds([IDS, past], outputs, { headSize: 80 }).feedsFor(WINDOW);
    expect(feeds.get(past.name)?.dims).toEqual([1, 2, 0, 80]);

    const heads = value('past_key_values.0.key', 'float16', 'batch', 'heads', 'past_length', 64);
    expect([...missingGeometry([IDS, heads], [LOGITS])]).toEqual(['keyValueHeads']);
    const settled = value('past_key_values.0.key', 'float16', 'batch', 2, 'past_length', 64);
    expect(missingGeometry([IDS, settled], [LOGITS]).size).toBe(0);
  });

  it('refuses a cache of fixed length', () => {
    const fixed = value('past_key_values.0.key', 'float16', 'batch', 2, 512, 64);
    expect(() => feed(fixed)).toThrow(/fixed length/);
  });
});

describe('encoder side', () => {
  it('is fed stand-ins, and says so', () => {
    const hidden = value('encoder_hidden_states', 'float32', 'batch', 'encoder_len', 8);
    const cross = value('past_key_cross_0', 'float32', 'batch', 2, 'encoder_len', 8);
    const plan = planFeeds([IDS, hidden, cross], [LOGITS]);
    const feeds = plan.feedsFor(WINDOW);
    expect(feeds.get('encoder_hidden_states')?.dims).toEqual([1, 4, 8]);
    expect(feeds.get('past_key_cross_0')?.dims).toEqual([1, 2, 4, 8]);
    expect(plan.notes).toEqual([
      '"encoder_hidden_states" and 1 more are fed a stand-in for an encoder: the model runs, but its scores mean little',
    ]);
    expect(planFeeds([IDS], [LOGITS]).notes).toEqual([]);
  });
});

describe('what cannot be fed', () => {
  it('names every unknown input', () => {
    const inputs = [IDS, value('pixel_values', 'float32', 1), value('task_id', 'int64', 1)];
    expect(() => planFeeds(inputs, [LOGITS])).toThrow(
      'no rule says how to feed "pixel_values", "task_id"',
    );
  });

  it('explains a decoder that takes embeddings', () => {
    const embeds = value('inputs_embeds', 'float32', 'batch', 'sequence_len', 64);
    expect(() => planFeeds([embeds], [LOGITS])).toThrow(/takes "inputs_embeds", not token ids/);
  });

  it('explains a model without token ids', () => {
    const features = value('input_features', 'float32', 'batch', 80, 'frames');
    expect(() => planFeeds([features], [])).toThrow(/the inputs are "input_features"/);
  });
});

describe('logits', () => {
  it('are the output of that name, else the only float output of three dimensions', () => {
    const scores = value('scores', 'float16', 'b', 's', 'v');
    const present = value('present_conv.0', 'float16', 'b', 4, 3);
    expect(planFeeds([IDS], [present, scores])).toMatchObject({
      logits: 'scores',
      vocabSize: undefined,
    });
    expect(planFeeds([IDS], [scores, LOGITS])).toMatchObject({ logits: 'logits', vocabSize: 512 });
    expect(() => planFeeds([IDS], [scores, { ...scores, name: 'hidden' }])).toThrow(
      /2 could be it/,
    );
    expect(() => planFeeds([IDS], [])).toThrow(/the outputs are none/);
  });
});
