import { expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { checkRecipe, parseStep } from '../../src/recipes/recipe.ts';
import { BODY, type Edit, metadataProps, tensorOf, typed, useStep } from './ir-version-step.ts';

const run = useStep();

function checking(step: string): () => void {
  return () => checkRecipe({ name: 'r', steps: [parseStep(step)] });
}

it('tells of each thing once, and how many have it', async () => {
  const { declined, written } = await run(
    'set-ir-version:version=7',
    `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
value h: fp32[rows, 64]
h = Cast(x) @a {to: 21}
i = Cast(h) @b {to: 21}
y = local.F(i) @c
function local.F(a) -> b
  b = Cast(a) {to: 1}
`,
    (_, graph) => {
      for (const node of graph.node ?? []) node.metadataProps = metadataProps;
    },
  );
  const bound = 'the lowest version for this model is 10';
  expect(declined).toEqual([
    `the model: functions came with IR version 8; ${bound}`,
    `a: metadata_props came with IR version 10 (2 more have that); ${bound}`,
    `a: the element type uint4 came with IR version 10 (1 more have that); ${bound}`,
  ]);
  expect(written).toBeUndefined();
});

it.each([
  [10, 'the model has IR version 10 already'],
  [15, 'what needs IR version 15 is unknown: the newest known one is 14'],
])('leaves a model of IR %i alone', async (irVersion, reason) => {
  const edit: Edit = (proto) => {
    proto.irVersion = irVersion;
  };
  const { declined } = await run('set-ir-version:version=10', BODY, edit);
  expect(declined).toEqual([`ir_version: ${reason}`]);
});

it('declines an element type of the future', async () => {
  const { declined } = await run('set-ir-version:version=9', `ir 14\n${BODY}`, typed(tensorOf(31)));
  expect(declined).toEqual([
    'h: the element type dtype 31 came with IR version 15; the lowest version for this model is 15',
  ]);
});

it('says what it means for inputs of models before IR 4', async () => {
  const text =
    'ir 3\ninput x: fp32[4]\ninput w: fp32[4]\noutput y\nweight w: fp32[4]\ny = Add(x, w)\n';
  const { changes, warnings } = await run('set-ir-version:version=8', text);
  expect(changes).toEqual(['ir_version: IR version 3 is 8 now']);
  expect(warnings).toEqual([
    'from IR version 4 on, callers may give other values for 1 initializers that are inputs',
  ]);
});

it('knows versions 4 to 14', () => {
  expect(checking('set-ir-version:version=3')).toThrow(UsageError);
  expect(checking('set-ir-version:version=15')).toThrow(UsageError);
  expect(checking('set-ir-version')).toThrow('needs the option "version"');
});
