import { describe, expect, it } from 'vitest';
import { pairStates, parseStateName, presentNameOf } from '../../src/anatomy/state-names.ts';

describe('parseStateName', () => {
  it.each([
    ['past_key_values.0.key', 'past', 'key', 'self', 0],
    ['present.31.value', 'present', 'value', 'self', 31],
    ['past_key_values.7.decoder.key', 'past', 'key', 'self', 7],
    ['past_key_values.7.encoder.value', 'past', 'value', 'cross', 7],
    ['present.7.encoder.key', 'present', 'key', 'cross', 7],
    ['past_key_12', 'past', 'key', 'self', 12],
    ['present_value_12', 'present', 'value', 'self', 12],
    ['past_key_cross_3', 'past', 'key', 'cross', 3],
    ['present_key_self_3', 'present', 'key', 'self', 3],
    ['past_key_values.2.conv_state', 'past', 'conv', 'self', 2],
    ['present.2.recurrent_state', 'present', 'recurrent', 'self', 2],
    ['past_conv.10', 'past', 'conv', 'self', 10],
    ['present_conv.10', 'present', 'conv', 'self', 10],
    ['past_ssm.1', 'past', 'recurrent', 'self', 1],
    ['past_recurrent.1', 'past', 'recurrent', 'self', 1],
  ])('%s', (name, direction, role, scope, layer) => {
    expect(parseStateName(name)).toEqual({ direction, role, scope, layer });
  });

  it.each([
    'input_ids',
    'logits',
    'past_key_valuesX0Xkey',
    'past_key_values.0.key2',
    'model.past_key_values.0.key',
    'past_key_values.00.key',
    'past_key_values.-1.key',
    'past_key_values.%d.key',
    'past_key_values.9999999.key',
    'past_key_values..key',
    'past_key_values.0.key\n',
    'present_key_values',
  ])('does not take %j for a state', (name) => {
    expect(parseStateName(name)).toBeUndefined();
  });
});

describe('presentNameOf', () => {
  it('answers for past names only', () => {
    expect(presentNameOf('past_key_values.3.key')).toBe('present.3.key');
    expect(presentNameOf('past_value_0')).toBe('present_value_0');
    expect(presentNameOf('present.3.key')).toBeUndefined();
    expect(presentNameOf('attention_mask')).toBeUndefined();
  });
});

describe('pairStates', () => {
  it('pairs the states of a hybrid model whose caches sit on every fourth layer', () => {
    const inputs = ['input_ids', 'past_key_values.7.value', 'past_key_values.3.key', 'past_conv.0'];
    const outputs = ['logits', 'present_conv.0', 'present.3.key', 'present.7.value'];
    expect(pairStates(inputs, outputs)).toEqual([
      {
        past: 'past_key_values.7.value',
        present: 'present.7.value',
        role: 'value',
        scope: 'self',
        layer: 7,
      },
      {
        past: 'past_key_values.3.key',
        present: 'present.3.key',
        role: 'key',
        scope: 'self',
        layer: 3,
      },
      { past: 'past_conv.0', present: 'present_conv.0', role: 'conv', scope: 'self', layer: 0 },
    ]);
  });

  it('leaves the present of a cache that is only read undefined', () => {
    const [pair] = pairStates(['past_key_cross_0'], ['logits', 'present_key_self_0']);
    expect(pair).toMatchObject({ scope: 'cross', present: undefined });
  });
});
