import { expect, it } from 'vitest';
import * as library from '../src/index.ts';
import { writeTiny } from './cli/tiny-model.ts';
import { useWorkspace } from './external-data/workspace.ts';

const workspace = useWorkspace();

it('the library is these names', () => {
  expect(Object.keys(library).sort()).toEqual([
    'CancelledError',
    'FormatError',
    'LatheError',
    'NAMED_RECIPES',
    'PreconditionError',
    'ResourceError',
    'SURGERIES',
    'UsageError',
    'checkModel',
    'compareOutputs',
    'diffModels',
    'evaluateModel',
    'inspectModel',
    'namedRecipe',
    'readTokens',
    'runRecipe',
  ]);
});

it('checks a model, and its digests', async () => {
  const model = writeTiny(workspace.path('m'));
  const options: library.CheckOptions = { digest: { path: workspace.path('digests') } };
  const written: library.CheckReport = await library.checkModel(model, options);
  const compared = await library.checkModel(model, options);
  expect(written).toMatchObject({ findings: [], digest: { action: 'written', tensors: 2 } });
  expect(compared).toMatchObject({ findings: [], digest: { action: 'compared', tensors: 2 } });
});
