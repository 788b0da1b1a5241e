/** The command line of make-model: parsed, checked, worded. Pure. */

import { parseArgs } from 'node:util';

/** @typedef {'fp16' | 'fp32' | 'bf16'} WeightType */
/** @typedef {'mobius' | 'genai'} Layout */

/**
 * What to make. Exactly one of `byteLength` and `nodes` is set.
 * @typedef {object} ModelRequest
 * @property {number | undefined} byteLength Wanted size of the weights, bytes.
 * @property {number | undefined} nodes Wanted number of nodes; the model is then as small as that allows.
 * @property {WeightType} dtype
 * @property {boolean} tied Whether embedding and head are one initializer.
 * @property {Layout} layout
 * @property {number | undefined} vocabSize
 * @property {number | undefined} hiddenSize
 * @property {number | undefined} layers
 * @property {boolean} sparse Whether the data file is a hole: zero weights, no disk blocks.
 * @property {number} seed
 */

/** The arguments are wrong (exit 2). */
export class UsageError extends Error {
  /**
   * @param {string} message
   * @param {string} [hint]
   */
  constructor(message, hint = 'node tools/make-model.mjs --help') {
    super(message);
    this.hint = hint;
  }
}

export const HELP = `Usage: node tools/make-model.mjs --size SIZE -o DIR [options]
       node tools/make-model.mjs --nodes N -o DIR [options]

Writes DIR/model.onnx and DIR/model.onnx.data: a decoder with pseudo-random normal weights, in the structure that
exporters write, that ONNX Runtime loads and runs (bf16: only where it has bf16 kernels, so not on a CPU).

  --size SIZE     size of the model within 5 %: 5MB, 1.5GB, 2GiB
  --nodes N       instead of --size: about N nodes, weights as small as possible
  --dtype TYPE    fp16 (default), fp32 or bf16
  --tied          embedding and head are one initializer (default)
  --untied        the head has a weight of its own
  --layout NAME   mobius (default: table [vocab, hidden], Attention, position_ids)
                  or genai (tied table [hidden, vocab], packed GroupQueryAttention)
  --vocab N       vocabulary, a multiple of 32; default by size, 2048 to 152064
  --hidden N      hidden size, a multiple of 64; default by size, 128 to 8192
  --layers N      number of layers; default by size
  --sparse        a data file without disk blocks: every weight is zero
  --seed N        same seed, same bytes (default 0)
  -o DIR          where to write; DIR/model.onnx must not exist
`;

/** Decimal units count in thousands, as disks and this tool's users do; a bare letter is binary, as in dd. */
const UNIT_BYTES = new Map([
  ['', 1],
  ['B', 1],
  ['K', 2 ** 10],
  ['KB', 1e3],
  ['KIB', 2 ** 10],
  ['M', 2 ** 20],
  ['MB', 1e6],
  ['MIB', 2 ** 20],
  ['G', 2 ** 30],
  ['GB', 1e9],
  ['GIB', 2 ** 30],
]);

/**
 * Bytes of a size such as `10GB` or `1.5GiB`. Throws a UsageError that names `option`.
 * @param {string} text
 * @param {string} option
 */
export function parseSize(text, option) {
  const match = /^(\d+(?:\.\d+)?) ?([a-zA-Z]*)$/.exec(text);
  const unit = match && UNIT_BYTES.get((match[2] ?? '').toUpperCase());
  const bytes = match && unit ? Math.round(Number(match[1]) * unit) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError(`${option} ${text} is not a size`, 'write a number and a unit, as in 10GB');
}

/**
 * An integer option, or undefined when it is absent. Throws a UsageError outside [min, max] and between multiples.
 * @param {string | undefined} text
 * @param {string} option
 * @param {{ min: number, max: number, multiple?: number }} range
 */
export function parseCount(text, option, { min, max, multiple = 1 }) {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max && value % multiple === 0) return value;
  const kind = multiple === 1 ? 'an integer' : `a multiple of ${multiple}`;
  throw new UsageError(`${option} ${text} is not ${kind} from ${min} to ${max}`);
}

/**
 * @template {string} T
 * @param {string} text
 * @param {string} option
 * @param {readonly T[]} choices
 * @returns {T}
 */
function parseChoice(text, option, choices) {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new UsageError(`${option} ${text} is not one of ${choices.join(', ')}`);
}

/** @param {readonly string[]} args */
function parseFlags(args) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        size: { type: 'string' },
        nodes: { type: 'string' },
        dtype: { type: 'string', default: 'fp16' },
        tied: { type: 'boolean' },
        untied: { type: 'boolean' },
        layout: { type: 'string', default: 'mobius' },
        vocab: { type: 'string' },
        hidden: { type: 'string' },
        layers: { type: 'string' },
        sparse: { type: 'boolean', default: false },
        seed: { type: 'string', default: '0' },
        output: { type: 'string', short: 'o' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * What the command line asks for, or undefined when it asks for help. Throws a UsageError.
 * @param {readonly string[]} args
 * @returns {{ request: ModelRequest, directory: string } | undefined}
 */
export function parseCommandLine(args) {
  const flags = parseFlags(args);
  if (flags.help) return undefined;
  if ((flags.size === undefined) === (flags.nodes === undefined)) {
    throw new UsageError('give one of --size and --nodes');
  }
  if (flags.nodes !== undefined && flags.layers !== undefined) {
    throw new UsageError('--nodes decides the number of layers; leave out --layers');
  }
  if (flags.tied && flags.untied) throw new UsageError('give one of --tied and --untied');
  if (flags.output === undefined) throw new UsageError('give a directory to write to: -o DIR');
  /** @type {ModelRequest} */
  const request = {
    byteLength: flags.size === undefined ? undefined : parseSize(flags.size, '--size'),
    nodes: parseCount(flags.nodes, '--nodes', { min: 30, max: 1_000_000 }),
    dtype: parseChoice(flags.dtype, '--dtype', ['fp16', 'fp32', 'bf16']),
    tied: !flags.untied,
    layout: parseChoice(flags.layout, '--layout', ['mobius', 'genai']),
    vocabSize: parseCount(flags.vocab, '--vocab', { min: 32, max: 2 ** 20, multiple: 32 }),
    hiddenSize: parseCount(flags.hidden, '--hidden', { min: 64, max: 2 ** 16, multiple: 64 }),
    layers: parseCount(flags.layers, '--layers', { min: 1, max: 100_000 }),
    sparse: flags.sparse,
    seed: parseCount(flags.seed, '--seed', { min: 0, max: 2 ** 32 - 1 }) ?? 0,
  };
  return { request, directory: flags.output };
}
