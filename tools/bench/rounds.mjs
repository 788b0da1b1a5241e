/** Commands that are compared: run in alternating rounds, so that what else the machine does hits all alike. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command-run.mjs';

/** @typedef {import('./command-run.mjs').CommandRun} CommandRun */
/** @typedef {import('../make-model/make-model.mjs').MadeModel} MadeModel */

/**
 * Runs each contender once a round, each round starting with another one.
 * @template {string} Name
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {MadeModel} model
 * @param {number} rounds
 * @param {Readonly<Record<Name, (model: MadeModel, output: string) => CommandRun>>} contenders
 */
export function alternate(workspace, model, rounds, contenders) {
  const names = /** @type {Name[]} */ (Object.keys(contenders));
  const runs = /** @type {Record<Name, CommandRun[]>} */ ({});
  for (const name of names) runs[name] = [];
  for (let turn = 0; turn < rounds * names.length; turn++) {
    const round = Math.floor(turn / names.length);
    const name = /** @type {Name} */ (names[(turn + round) % names.length]);
    const output = workspace.settle(model);
    runs[name].push(contenders[name](model, output));
    workspace.discard(output);
  }
  return runs;
}

/**
 * Copies the data file of a model with `cp`. Sharing blocks would not be copying.
 * @param {{ flushed: boolean }} how With or without the flush that makes the copy as durable as a result.
 * @returns {(model: MadeModel, output: string) => CommandRun}
 */
export function copyWith({ flushed }) {
  const script = `cp --reflink=never "$1" "$2"${flushed ? ' && sync "$2"' : ''}`;
  return (model, output) => {
    mkdirSync(output);
    return runCommand(['sh', '-c', script, 'sh', model.dataPath, join(output, 'copy')]);
  };
}
