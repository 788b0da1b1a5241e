/** Every method on weights of both layouts, against copying the same data file, in alternating rounds. */

import { latheCommand } from './command-line-tool.mjs';
import { runCommand } from './command-run.mjs';
import { alternate, copyWith } from './rounds.mjs';
import { summarize, summarizeRatios } from './statistics.mjs';

/** @typedef {import('./command-run.mjs').CommandRun} CommandRun */
/** @typedef {import('./measurement.mjs').Measurement} Measurement */
/** @typedef {import('../make-model/make-model.mjs').MadeModel} MadeModel */

const DEFAULT_BYTES = 4e9;
const QUICK_BYTES = 1e9;

/**
 * Models that are nearly all weights of one layout, and the surgeries that quantize these: the first takes the options.
 * A table that the head goes on reading as it was would be copied besides.
 */
const LAYOUTS = [
  {
    name: 'columns',
    surgeries: ['quantize-matmul'],
    model: '--layout genai --vocab 2048 --hidden 4096',
  },
  {
    name: 'rows',
    surgeries: ['quantize-embedding', 'tie-word-embeddings'],
    model: '--layout mobius --layers 1 --hidden 2048',
  },
];

/**
 * Bars are ratios to a plain `cp`, which leaves the flush to the kernel, as --no-sync does.
 * @type {readonly { name: string, options: string, wallBar: number | undefined, cpuBar?: number }[]}
 */
const METHODS = [
  { name: 'rtn 4', options: 'bits=4,method=rtn', wallBar: 1, cpuBar: 1.3 },
  { name: 'rtn 8', options: 'bits=8,method=rtn', wallBar: 1 },
  { name: 'search 4', options: 'bits=4,method=search', wallBar: 2 },
  { name: 'k-quant 4', options: 'bits=4,method=k-quant', wallBar: undefined },
];

/**
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {import('./options.mjs').BenchOptions} options
 * @returns {Measurement[]}
 */
export function measureMethods(workspace, { quick, copyBytes, rounds }) {
  const bytes = copyBytes ?? (quick ? QUICK_BYTES : DEFAULT_BYTES);
  return LAYOUTS.flatMap(({ name, surgeries, model }) => {
    // The table of rows takes nearly all of the size, one layer the rest.
    const vocab = name === 'rows' ? ` --vocab ${Math.round((bytes * 0.98) / 4096 / 32) * 32}` : '';
    return workspace.withModel(`--size ${bytes} ${model}${vocab}`, bytes, (made) => {
      /** @type {Record<string, (model: MadeModel, output: string) => CommandRun>} */
      const contenders = {
        cp: copyWith({ flushed: false }),
        'cp and fsync': copyWith({ flushed: true }),
      };
      for (const method of METHODS) {
        const steps = surgeries.flatMap((surgery, index) => [
          '--surgery',
          index === 0 ? `${surgery}:${method.options}` : surgery,
        ]);
        for (const [label, extra] of /** @type {const} */ ([
          [method.name, ['--no-sync']],
          [`${method.name}, flushed`, []],
        ])) {
          contenders[label] = ({ modelPath }, output) =>
            runCommand(
              latheCommand('apply', modelPath, '-o', output, '--quiet', ...steps, ...extra),
            );
        }
      }
      return tabulate(
        `${(made.dataBytes / 1e9).toFixed(1)} GB, ${name}`,
        alternate(workspace, made, rounds, contenders),
      );
    });
  });
}

/**
 * @param {string} what
 * @param {Record<string, CommandRun[]>} runs
 * @returns {Measurement[]}
 */
function tabulate(what, runs) {
  const of = (/** @type {string} */ name) => runs[name] ?? [];
  const wall = (/** @type {string} */ name) => of(name).map(({ wallSeconds }) => wallSeconds);
  const cpu = (/** @type {string} */ name) =>
    of(name).flatMap(({ cpuSeconds }) => cpuSeconds ?? []);
  /** @type {Measurement[]} */
  const rows = [];
  /** @param {string} text @param {Measurement['unit']} unit @param {Measurement['summary']} summary @param {number} [bar] */
  const add = (text, unit, summary, bar) => {
    const row = {
      benchmark: /** @type {const} */ ('methods'),
      what: `${what}: ${text}`,
      unit,
      summary,
    };
    rows.push(bar === undefined ? row : { ...row, bar });
  };
  const timed = cpu('cp').length > 0;
  for (const { name, wallBar, cpuBar } of METHODS) {
    const flushed = `${name}, flushed`;
    add(`wall of ${name} / cp`, 'x', summarizeRatios(wall(name), wall('cp')), wallBar);
    add(
      `wall of ${flushed} / cp and fsync`,
      'x',
      summarizeRatios(wall(flushed), wall('cp and fsync')),
    );
    if (timed) add(`CPU of ${name} / cp`, 'x', summarizeRatios(cpu(name), cpu('cp')), cpuBar);
  }
  for (const name of Object.keys(runs)) {
    add(`wall of ${name}`, 's', summarize(wall(name)));
    if (timed) add(`CPU of ${name}`, 's', summarize(cpu(name)));
  }
  return rows;
}
