/**
 * Rename outputs of the main graph, with every reference to them.
 *
 * An output that is an input as well, one that is listed twice and a name that is in use anywhere are refused: readers
 * would read something else.
 */

import { checkPairs, pairOptions, renameEnds } from './rename-interface.ts';
import { defineSurgery } from './surgery.ts';

const NAME = 'rename-outputs';

export default defineSurgery({
  name: NAME,
  aliases: ['RenameOutputs'],
  summary: 'Rename outputs of the model',
  options: pairOptions('output'),
  check: (options) => checkPairs(NAME, options),
  apply: (model, options) => renameEnds(model, NAME, 'output', options),
});
