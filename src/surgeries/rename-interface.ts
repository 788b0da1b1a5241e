/** What rename-inputs and rename-outputs share: pairs of names, and what may not be renamed. Pure. */

import { PreconditionError, UsageError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { renameValues, takenNames } from '../model/rename.ts';
import type { Value } from '../model/value.ts';
import { names, suggestion } from './options.ts';
import type { Decline, SurgeryResult } from './surgery.ts';

/** Which end of the main graph; also the word for messages. */
export type Side = 'input' | 'output';

interface PairOptions {
  readonly from: readonly string[];
  readonly to: readonly string[];
}

/** Options of a surgery that renames one end of the main graph. */
export function pairOptions(side: Side) {
  return {
    from: names({ help: `the ${side} to rename; several as from=a|b` }),
    to: names({
      help: 'its new name; several as to=c|d. Configuration files (genai_config.json) keep the old one',
    }),
  };
}

/** The first entry that is in a list twice. */
function repeated(list: readonly string[]): string | undefined {
  return list.find((name, index) => list.indexOf(name) !== index);
}

/** Throws a UsageError for lists of names that do not go together. */
export function checkPairs(surgery: string, { from, to }: PairOptions): void {
  if (from.length !== to.length) {
    throw new UsageError(
      'ERR_OPTION',
      `surgery ${surgery}: from has ${from.length} names, to has ${to.length}`,
      { hint: 'give a new name for each: from=a|b,to=c|d' },
    );
  }
  for (const [option, list] of Object.entries({ from, to })) {
    const name = repeated(list);
    if (name === undefined) continue;
    throw new UsageError('ERR_OPTION', `surgery ${surgery}: ${option} has "${name}" twice`);
  }
}

function refuse(surgery: string, message: string, hint: string): never {
  throw new PreconditionError('ERR_PRECONDITION', `${surgery}: ${message}`, { hint });
}

/** The value called `name` at one end. Throws for one that cannot have a name of its own, or does not exist. */
function findValue(model: Model, surgery: string, side: Side, name: string): Value {
  const { inputs, outputs } = model.graph;
  const [ends, others] = side === 'input' ? [inputs, outputs] : [outputs, inputs];
  const value = ends.find((end) => end.name === name);
  const other = side === 'input' ? 'output' : 'input';
  const isOther = others.some((end) => end.name === name);
  if (value === undefined) {
    throw new UsageError('ERR_UNKNOWN_NAME', `${surgery}: the model has no ${side} "${name}"`, {
      hint: isOther
        ? `"${name}" is an ${other}: use rename-${other}s`
        : suggestion(
            name,
            ends.map((end) => end.name),
          ),
    });
  }
  if (isOther) {
    refuse(
      surgery,
      `${side} "${name}" is an ${other} as well, which would be renamed with it`,
      'put an Identity node between the two',
    );
  }
  if (ends.indexOf(value) !== ends.lastIndexOf(value)) {
    refuse(surgery, `output "${name}" is listed twice`, 'list it once');
  }
  return value;
}

/** Renames values at one end of the main graph. Throws, before anything changes, for names that are wrong or taken. */
export function renameEnds(
  model: Model,
  surgery: string,
  side: Side,
  { from, to }: PairOptions,
): SurgeryResult {
  const ends = new Set(model.graph[`${side}s`].map((value) => value.name));
  const renames = new Map<Value, string>();
  const declined: Decline[] = [];
  for (const [index, name] of from.entries()) {
    const wanted = to[index] as string;
    // Done before: running a recipe again is no mistake.
    const isDone = ends.has(wanted) && !ends.has(name) && !from.includes(wanted);
    if (isDone || (name === wanted && ends.has(name))) {
      declined.push({ node: wanted, reason: `the ${side} has this name already` });
    } else renames.set(findValue(model, surgery, side, name), wanted);
  }
  const leaving = new Set([...renames.keys()].map((value) => value.name));
  const taken = takenNames(model, new Set(renames.values()), leaving);
  const changes = [...renames].map(([value, wanted]) => {
    const by = taken.get(wanted);
    if (by !== undefined) {
      refuse(
        surgery,
        `cannot rename "${value.name}" to "${wanted}": "${wanted}" is ${by}`,
        'choose another name; names are exchanged by from=a|b,to=b|a',
      );
    }
    return { node: value.name, what: `${side} renamed to "${wanted}"` };
  });
  if (renames.size > 0) renameValues(model, renames);
  return { changes, declined, warnings: [] };
}
