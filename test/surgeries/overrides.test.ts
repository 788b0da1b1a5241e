import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { parseStep } from '../../src/recipes/recipe.ts';
import { choice, flag, parseOptions } from '../../src/surgeries/options.ts';
import { overrides } from '../../src/surgeries/overrides.ts';

const table = {
  set: overrides(
    {
      bits: choice([2, 4, 8], { help: 'bits' }),
      blockSize: choice([16, 32], { help: 'block' }),
      symmetric: flag({ default: false, help: 'no zero points' }),
    },
    { help: 'others' },
  ),
};

function parse(set: unknown, name = 'set') {
  return parseOptions(table, { [name]: set }, 'surgery s').set;
}

describe('options for some nodes', () => {
  it.each([
    ['text', '*v_proj*=bits:8,blockSize:16'],
    ['text with names as the command line spells them', '*v_proj*=bits:8,block-size:16'],
    ['a list', ['*v_proj*=bits:8,blockSize:16']],
    ['an object', { '*v_proj*': { bits: 8, blockSize: 16 } }],
    ['a list of objects', [{ '*v_proj*': { bits: '8', blockSize: 16 } }]],
  ])('are given as %s', (_, set) => {
    expect(parse(set)).toEqual([{ selector: '*v_proj*', options: { bits: 8, blockSize: 16 } }]);
  });

  it("are given by Olive's name for them", () => {
    const set = { '/model/layers.0/attn/qkv_proj/MatMul': { bits: 8 } };
    expect(parse(set, 'customized_weight_config')).toEqual([
      { selector: '/model/layers.0/attn/qkv_proj/MatMul', options: { bits: 8 } },
    ]);
    const both = { set, customized_weight_config: set };
    expect(() => parseOptions(table, both, 'surgery s')).toThrow(
      'surgery s is given the option "set" by two names',
    );
  });

  it('keep their order; a bare name means yes; a name may have an equals sign', () => {
    expect(parse(['a=b=symmetric', '@v=bits:8'])).toEqual([
      { selector: 'a=b', options: { symmetric: true } },
      { selector: '@v', options: { bits: 8 } },
    ]);
  });

  it('are none unless given', () => {
    expect(parseOptions(table, {}, 'surgery s').set).toEqual([]);
  });

  it.each([
    ['*v_proj*', 'option set: "*v_proj*" names no nodes', 'write GLOB=bits:8,blockSize:64'],
    ['=bits:8', 'option set: "=bits:8" names no nodes', 'write GLOB=bits:8,blockSize:64'],
    ['a=', 'option set: "a=" has an empty option', 'write GLOB=bits:8,blockSize:64'],
    ['a=:8', 'option set: "a=:8" has an empty option', 'write GLOB=bits:8,blockSize:64'],
    ['a=bit:8', 'option set: "a" has no option "bit"', 'did you mean "bits"?'],
    ['a=__proto__:8', 'option set: "a" has no option "__proto__"', /^known: bits/],
    ['a=bits:5', 'option set "a": bits: "5" is not one of 2, 4, 8', undefined],
    [{ a: 8 }, 'option set: {"a":8} has no options', 'write GLOB=bits:8,blockSize:64'],
    [8, 'option set: 8 is no override', 'write GLOB=bits:8,blockSize:64'],
    [null, 'option set: null is no override', 'write GLOB=bits:8,blockSize:64'],
  ])('%j is refused', (set, message, hint) => {
    try {
      parse(set);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      expect((error as UsageError).message).toBe(message);
      if (hint instanceof RegExp) expect((error as UsageError).hint).toMatch(hint);
      else expect((error as UsageError).hint).toBe(hint);
    }
  });
});

it('are spelled within a surgery as on their own', () => {
  const { options } = parseStep('quantize-matmul:set=*v*=bits:8,block-size:16,bits=4');
  expect(options).toEqual({ set: '*v*=bits:8,block-size:16', bits: '4' });
  expect(parse(options['set'])).toEqual([{ selector: '*v*', options: { bits: 8, blockSize: 16 } }]);
  expect(parseStep('quantize-matmul:set=a=bits:8,symmetric:true|b=bits:2').options).toEqual({
    set: ['a=bits:8,symmetric:true', 'b=bits:2'],
  });
});
