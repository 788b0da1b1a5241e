import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import {
  choice,
  integer,
  integers,
  names,
  parseOptions,
  suggestion,
} from '../../src/surgeries/options.ts';

const table = {
  from: names({ help: 'the name as it is' }),
  to: names({ default: [], help: 'the new name' }),
  version: integer({ min: 3, max: 14, help: 'the version' }),
  sizes: integers({ min: 1, max: 2 ** 40, help: 'sizes' }),
  mode: choice(['a', 'b'], { help: 'a mode' }),
};

const given = { from: 'x', version: 3, mode: 'a' };

function parsing(more: Readonly<Record<string, unknown>>): () => unknown {
  return () => parseOptions(table, { ...given, ...more }, 'surgery s');
}

it('fills in what may be left out', () => {
  expect(parsing({})()).toEqual({ from: ['x'], to: [], version: 3, sizes: [], mode: 'a' });
});

it('takes numbers as text, and single entries as lists', () => {
  const values = parsing({ from: ['x', 'y'], to: 'z', version: '14', sizes: ['1', 2] })();
  expect(values).toMatchObject({ from: ['x', 'y'], to: ['z'], version: 14, sizes: [1, 2] });
});

it.each(['from', 'version', 'mode'] as const)('needs the option %s', (name) => {
  const { [name]: _, ...rest } = given;
  const parse = () => parseOptions(table, rest, 'surgery s');
  expect(parse).toThrow(UsageError);
  expect(parse).toThrow(
    expect.objectContaining({
      message: `surgery s needs the option "${name}"`,
      hint: `${name}: ${table[name].help}`,
    }),
  );
});

describe('a value that does not fit', () => {
  it.each([
    [{ from: [] }, 'option from: [] is not a name or a list of names'],
    [{ from: '' }, 'option from: "" is not a name'],
    [{ from: ['x', ''] }, 'option from: ["x",""] is not a name'],
    [{ from: true }, 'option from: true is not a name'],
    [{ version: 2 }, 'option version: 2 is not an integer from 3 to 14'],
    [{ version: '15' }, 'option version: "15" is not an integer'],
    [{ version: 3.5 }, 'option version: 3.5 is not an integer'],
    [{ version: '0x4' }, 'option version: "0x4" is not an integer'],
    [{ version: '' }, 'option version: "" is not an integer'],
    [{ version: true }, 'option version: true is not an integer'],
    [{ sizes: [] }, 'option sizes: [] is not an integer from 1 to 1099511627776, or a list'],
    [{ sizes: ['4', 'x'] }, 'option sizes: ["4","x"] is not an integer'],
  ])('%o is refused', (more, message) => {
    expect(parsing(more)).toThrow(UsageError);
    expect(parsing(more)).toThrow(message);
  });
});

it('suggests the nearest name, or lists the first ones', () => {
  const many = Array.from({ length: 25 }, (_, index) => `past_key_values.${index}.key`);
  expect(suggestion('imput_ids', ['input_ids', ...many])).toBe('did you mean "input_ids"?');
  expect(suggestion('x', ['input_ids', 'mask'])).toBe('known: input_ids, mask');
  expect(suggestion('x', [])).toBe('there are none');
  expect(suggestion('x', many)).toMatch(/^known: past_key_values.0.key, .*, .* and 5 more$/);
});
