import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { NAMED_RECIPES, namedRecipe } from '../../src/recipes/named.ts';
import { checkRecipe, parseStep } from '../../src/recipes/recipe.ts';

describe('a step on the command line', () => {
  it.each([
    ['remove-unused', {}],
    ['quantize-matmul:bits=8', { bits: '8' }],
    ['quantize-matmul:symmetric', { symmetric: true }],
    ['x:block-size=64,accuracy-level=0', { blockSize: '64', accuracyLevel: '0' }],
    ['x:include=@head|*/mlp/*,bits=4', { include: ['@head', '*/mlp/*'], bits: '4' }],
    ['x:include=a=b', { include: 'a=b' }],
  ])('%s', (text, options) => {
    expect(parseStep(text)).toEqual({ surgery: text.split(':')[0], options });
  });

  it.each(['x:', 'x:bits=8,', 'x:=8'])('%s has an empty option', (text) => {
    expect(() => parseStep(text)).toThrow(UsageError);
  });
});

describe('a recipe', () => {
  const check = (surgery: string, options: Record<string, unknown>) => () =>
    checkRecipe({ name: 'r', steps: [{ surgery, options }] });

  it('needs steps', () => {
    expect(() => checkRecipe({ name: 'r', steps: [] })).toThrow('recipe r has no steps');
  });

  it.each([
    [
      'quantize-matmull',
      {},
      'there is no surgery "quantize-matmull"',
      'did you mean "quantize-matmul"?',
    ],
    ['quantize-matmul', { bit: 4 }, 'has no option "bit"', 'did you mean "bits"?'],
    ['quantize-matmul', { bits: 3 }, 'option bits: 3 is not one of 2, 4, 8', undefined],
    ['quantize-matmul', { include: [''] }, 'option include: [""] is not a glob', undefined],
    ['quantize-matmul', { symmetric: 1 }, 'option symmetric: 1 is not true or false', undefined],
    ['quantize-matmul', { toString: 1 }, 'has no option "toString"', undefined],
  ])('%s %o is refused', (surgery, options, message, hint) => {
    expect(check(surgery, options)).toThrow(UsageError);
    expect(check(surgery, options)).toThrow(message);
    if (hint !== undefined) {
      expect(check(surgery, options)).toThrow(expect.objectContaining({ hint }));
    }
  });

  it.each([
    'TieWordEmbeddings',
    'tie-word-embeddings',
    'TIEWORDEMBEDDINGS',
    'OnnxBlockWiseRtnQuantization',
  ])('takes the name %s', (name) => {
    expect(check(name, {})).not.toThrow();
  });

  it('of a name is valid, and an unknown name gets a suggestion', () => {
    for (const recipe of NAMED_RECIPES) expect(() => checkRecipe(recipe)).not.toThrow();
    expect(namedRecipe('q4').name).toBe('q4');
    expect(() => namedRecipe('q44')).toThrow(
      expect.objectContaining({ hint: 'did you mean "q4"?' }),
    );
  });
});
