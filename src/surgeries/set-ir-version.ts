/**
 * Set the version of the format (`ir_version`) that the model states.
 *
 * Raising it changes nothing else: a newer IR reads what an older one wrote. It is lowered only where the model has
 * nothing that came later: element types, fields such as `metadata_props`, functions, sparse and optional types,
 * annotations, training. What it has is declined one by one, with the version it needs.
 */

import { toInt64 } from '../proto/int64.ts';
import { irFeatures, NEWEST_IR } from './ir-features.ts';
import { integer } from './options.ts';
import { type Decline, defineSurgery } from './surgery.ts';

/** Before IR 4 initializers had to be inputs, which other tools no longer write. */
const OLDEST_IR = 4;

export default defineSurgery({
  name: 'set-ir-version',
  summary: 'Set the IR version, downwards where nothing in the model needs the higher one',
  options: {
    version: integer({
      min: OLDEST_IR,
      max: NEWEST_IR,
      help: 'the version to state; a runtime refuses one that is newer than itself',
    }),
  },
  apply(model, { version }) {
    const current = model.irVersion;
    const decline = (declined: readonly Decline[]) => ({ changes: [], declined, warnings: [] });
    const why = (reason: string) => decline([{ node: 'ir_version', reason }]);
    if (current === version) return why(`the model has IR version ${version} already`);
    if (current > NEWEST_IR) {
      return why(
        `what needs IR version ${current} is unknown: the newest known one is ${NEWEST_IR}`,
      );
    }
    if (version < current) {
      const features = irFeatures(model);
      const lowest = Math.max(OLDEST_IR, ...features.map((feature) => feature.version));
      const needed = features
        .filter((feature) => feature.version > version)
        .map(({ version: since, what, first, count }) => {
          const more = count === 1 ? '' : ` (${count - 1} more have that)`;
          const bound = `the lowest version for this model is ${lowest}`;
          return { node: first, reason: `${what} came with IR version ${since}${more}; ${bound}` };
        });
      if (needed.length > 0) return decline(needed);
    }
    model.proto.irVersion = toInt64(version, 'ir_version');
    const overridable = model.graph.inputs.filter((input) => input.tensor !== undefined);
    const warnings =
      current < OLDEST_IR && overridable.length > 0
        ? [
            `from IR version 4 on, callers may give other values for ${overridable.length} initializers that are inputs`,
          ]
        : [];
    const what = `IR version ${current} is ${version} now`;
    return { changes: [{ node: 'ir_version', what }], declined: [], warnings };
  },
});
