/** Remove nodes and initializers that cannot influence an output of the model, in all graphs. */

import { removeDead } from '../model/liveness.ts';
import { type Change, defineSurgery } from './surgery.ts';

export default defineSurgery({
  name: 'remove-unused',
  aliases: ['RemoveUnused'],
  summary: 'Remove nodes and initializers that no output depends on',
  options: {},
  apply(model) {
    const removed = removeDead(model);
    const changes: Change[] = [
      ...removed.initializers.map((node) => ({ node, what: 'unused initializer removed' })),
      ...removed.nodes.map((node) => ({ node, what: 'unused node removed' })),
    ];
    return { changes, declined: [], warnings: [] };
  },
});
