import { describe, expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import { checkRecipe, parseStep } from '../../src/recipes/recipe.ts';
import { expectClose } from '../support/compare-runs.ts';
import { runText } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const MODEL = `
input ids: int64[batch, seq]
input mask: fp32[seq, 64]
input both: fp32[4]
input c: bool[]
output y: fp32[batch, seq, 64]
output both: fp32[4]
output k: fp32[4]
weight E: fp32[512, 64] = random(1)
weight k: fp32[4] = random(2)
h = Gather(E, ids) @embed
y = If(c)
  then_branch:
    output inner
    inner = Mul(h, mask)
  else_branch:
    output e
    e = Add(h, mask)
`;

function run(step: string) {
  const { surgery, options } = parseStep(step);
  return runText(scratch(), MODEL, [[surgery, options]]);
}

it.each([
  ['rename-inputs:from=ids|mask,to=mask|ids', { ids: 'mask', mask: 'ids' }],
  ['RenameInputs:from=ids|mask,to=input_ids|ids', { ids: 'input_ids', mask: 'ids' }],
  ['RenameOutputs:from=k,to=a:b=c/d', { k: 'a:b=c/d' }],
])('%s', async (step, renamed) => {
  const result = await run(step);
  expect(result.report.steps[0]?.changes.map(({ node }) => node)).toEqual(Object.keys(renamed));
  await expectClose(result, 0, renamed);
});

it('renames in one run what was renamed before', async () => {
  const result = await runText(scratch(), MODEL, [
    ['rename-inputs', { from: 'ids', to: 'a' }],
    ['rename-inputs', { from: ['a', 'mask'], to: ['mask', 'ids'] }],
    ['rename-outputs', { from: 'y', to: 'a' }],
  ]);
  await expectClose(result, 0, { ids: 'mask', mask: 'ids', y: 'a' });
});

it('leaves the model as it was when there is nothing to do', async () => {
  const { report, declined } = await run('rename-inputs:from=ids,to=ids');
  expect([report.changed, declined]).toEqual([false, ['the input has this name already']]);
});

describe('refused before a file is opened:', () => {
  it.each([
    ['rename-inputs', 'surgery rename-inputs needs the option "from"'],
    ['rename-inputs:from=a', 'surgery rename-inputs needs the option "to"'],
    ['rename-inputs:from=,to=b', 'option from: "" is not a name'],
    ['rename-inputs:from=a,to=', 'option to: "" is not a name'],
    ['rename-inputs:from=a|b,to=c', 'surgery rename-inputs: from has 2 names, to has 1'],
    ['rename-outputs:from=a|a,to=b|c', 'surgery rename-outputs: from has "a" twice'],
    ['rename-outputs:from=a|b,to=c|c', 'surgery rename-outputs: to has "c" twice'],
  ])('%s', (step, message) => {
    const check = () => checkRecipe({ name: 'r', steps: [parseStep(step)] });
    expect(check).toThrow(UsageError);
    expect(check).toThrow(message);
  });
});

describe('a name that does not exist', () => {
  it.each([
    ['rename-inputs:from=idz,to=x', 'the model has no input "idz"', 'did you mean "ids"?'],
    ['rename-inputs:from=y,to=x', 'no input "y"', '"y" is an output: use rename-outputs'],
    ['rename-outputs:from=mask,to=x', 'no output "mask"', '"mask" is an input: use rename-inputs'],
    ['rename-outputs:from=logits,to=x', 'no output "logits"', 'known: y, both, k'],
    // Not what an earlier run has left: that name is wanted for another.
    [
      'rename-inputs:from=removed|mask,to=mask|ids',
      'no input "removed"',
      'known: ids, mask, both, c',
    ],
  ])('%s', async (step, message, hint) => {
    const error = await run(step).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({ message: expect.stringContaining(message), hint });
  });
});

describe('a rename that would change what something else reads', () => {
  it.each([
    ['rename-inputs:from=ids,to=mask', '"mask" is an input'],
    ['rename-inputs:from=ids,to=y', '"y" is an output'],
    ['rename-inputs:from=ids,to=E', '"E" is an initializer'],
    ['rename-outputs:from=y,to=h', '"h" is made by node "embed"'],
    ['rename-outputs:from=y,to=inner', '"inner" is an output of the body "then_branch"'],
    ['rename-inputs:from=both,to=x', 'input "both" is an output as well'],
    ['rename-outputs:from=both,to=x', 'output "both" is an input as well'],
  ])('%s', async (step, message) => {
    const error = await run(step).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(PreconditionError);
    expect(error).toMatchObject({ message: expect.stringContaining(message) });
  });

  it('of an output that is listed twice', async () => {
    const text = 'input x: fp32[4]\noutput y: fp32[4]\noutput y: fp32[4]\ny = Neg(x)\n';
    const renaming = runText(scratch(), text, [['rename-outputs', { from: 'y', to: 'z' }]]);
    await expect(renaming).rejects.toThrow('rename-outputs: output "y" is listed twice');
  });
});
