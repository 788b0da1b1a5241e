/**
 * Rename inputs of the main graph, with every reference to them.
 *
 * The initializer that an input overrides is renamed with it. An input that is an output as well and a name that is
 * in use anywhere are refused: readers would read something else.
 */

import { checkPairs, pairOptions, renameEnds } from './rename-interface.ts';
import { defineSurgery } from './surgery.ts';

const NAME = 'rename-inputs';

export default defineSurgery({
  name: NAME,
  aliases: ['RenameInputs'],
  summary: 'Rename inputs of the model',
  options: pairOptions('input'),
  check: (options) => checkPairs(NAME, options),
  apply: (model, options) => renameEnds(model, NAME, 'input', options),
});
