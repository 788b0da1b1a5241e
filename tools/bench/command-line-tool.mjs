/** The command line under test, as its users run it. */

import { join } from 'node:path';
import { ensureAddon, ensureDist, ensureKeptCode, root } from '../setup.mjs';
import { BenchError } from './command-run.mjs';

const main = join(root, 'dist', 'cli', 'main.js');

/** Builds the addon and dist where they are older than their sources. Throws a BenchError when that fails. */
export function ensureBuilt() {
  try {
    ensureAddon();
    ensureDist();
    ensureKeptCode();
  } catch (error) {
    throw new BenchError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * @param {readonly string[]} args
 * @returns {[string, ...string[]]}
 */
export function latheCommand(...args) {
  return [process.execPath, main, ...args];
}

/**
 * The run whose memory and time are measured.
 * @param {string} modelPath
 * @param {string} output
 */
export function shrinkCommand(modelPath, output) {
  return latheCommand('shrink', modelPath, '-o', output, '--recipe', 'q4-small', '--quiet');
}
