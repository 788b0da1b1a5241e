/** Models and outputs on the file system that is measured, in a state that is the same before every run. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { makeModel } from '../make-model/make-model.mjs';
import { parseCommandLine } from '../make-model/options.mjs';
import { BenchError, runCommand } from './command-run.mjs';

/** @typedef {import('../make-model/make-model.mjs').MadeModel} MadeModel */

/** Left free for everyone else. */
const RESERVE_BYTES = 2e9;

export class Workspace {
  #outputs = 0;
  #models = 0;

  /**
   * @param {string} parent
   * @param {boolean} keep Whether models stay when the benchmark is over.
   */
  constructor(parent, keep) {
    if (!existsSync(parent)) mkdirSync(parent, { recursive: true });
    this.root = mkdtempSync(join(parent, 'onnx-lathe-bench-'));
    this.keep = keep;
  }

  /**
   * Makes a model, hands it to `measure` and removes it. `arguments_` are those of tools/make-model.mjs, without -o.
   * Throws a BenchError when the disk has no room for it and `outputBytes` more.
   * @template T
   * @param {string} arguments_
   * @param {number} outputBytes Most that outputs take at a time.
   * @param {(model: MadeModel) => T} measure
   * @returns {T}
   */
  withModel(arguments_, outputBytes, measure) {
    const directory = join(this.root, `model-${this.#models++}`);
    const command = parseCommandLine([...arguments_.split(' '), '-o', directory]);
    if (command === undefined) throw new BenchError(`not a model: ${arguments_}`);
    const { bavail, bsize } = statfsSync(this.root);
    const needed = (command.request.byteLength ?? 0) + outputBytes + RESERVE_BYTES;
    if (needed > bavail * bsize) {
      throw new BenchError(
        `${this.root}: ${arguments_} needs ${gigabytes(needed)}, ${gigabytes(bavail * bsize)} are free; ` +
          'name another file system with --work, or use --quick',
      );
    }
    try {
      return measure(makeModel(command.request, directory));
    } finally {
      if (!this.keep) rmSync(directory, { recursive: true, force: true });
    }
  }

  /**
   * Everything that must not be inside the clock: nothing left to write back, the input in the page cache. Returns a
   * path that does not exist yet.
   * @param {MadeModel} model
   */
  settle(model) {
    runCommand(['sync'], { bare: true });
    runCommand(['cat', model.modelPath, model.dataPath], { bare: true });
    return join(this.root, `output-${this.#outputs++}`);
  }

  /** @param {string} output */
  discard(output) {
    rmSync(output, { recursive: true, force: true });
  }

  /** Removes everything but kept models. */
  close() {
    if (!this.keep) rmSync(this.root, { recursive: true, force: true });
  }
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
