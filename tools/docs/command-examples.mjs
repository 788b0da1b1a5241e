/**
 * What docs/commands.md says of each command, and what it runs. Examples run in order, in one directory that holds
 * `austen/`, a model.
 */

/**
 * @typedef {object} CommandExample
 * @property {readonly string[]} args
 * @property {string} [says] before the run
 * @property {number} [exit] expected, 0 by default
 * @property {number} [lines] how many lines of the output to show
 */

/**
 * @typedef {object} CommandDocument
 * @property {string} name
 * @property {string} about
 * @property {readonly CommandExample[]} examples
 */

/** @type {readonly CommandDocument[]} */
export const COMMANDS = [
  {
    name: 'inspect',
    about:
      'What is inside, where the bytes are, and what would shrink it. Reads the graph, and weights only where asked.',
    examples: [
      { args: ['inspect', 'austen'] },
      {
        args: ['inspect', 'austen', '--savings', '--compare', '--tensors', '5'],
        says: 'What each recipe would save is planned, so it is exact. `--compare` reads tables stored apart.',
      },
    ],
  },
  {
    name: 'check',
    about: 'What is wrong with a model, or odd about it. Exits with 1 when there is something.',
    examples: [{ args: ['check', 'austen'] }],
  },
  {
    name: 'diff',
    about:
      'Two models side by side: their graphs, and how far their tensors are from each other, however each is stored.',
    examples: [
      { args: ['diff', 'austen', 'austen'] },
      {
        args: ['shrink', 'austen', '-o', 'austen-q8', '--recipe', 'q8', '-q'],
        says: 'What a recipe loses, tensor by tensor; a run tells the same with `-v`.',
      },
      { args: ['diff', 'austen', 'austen-q8'], exit: 1, lines: 16 },
    ],
  },
  {
    name: 'shrink',
    about: 'The one-command path: quantizes body and tables by a named recipe and ties the head.',
    examples: [
      { args: ['shrink', 'austen', '-o', 'small', '--dry-run'], says: 'What it would write:' },
      { args: ['shrink', 'austen', '-o', 'small'] },
      {
        args: ['shrink', 'austen', '-o', 'small'],
        says: 'Nothing is overwritten without `--force`:',
        exit: 2,
      },
    ],
  },
  {
    name: 'quantize',
    about:
      'Quantizes the layers of the body, with every option there is: one step of a recipe, on its own.',
    examples: [
      { args: ['quantize', 'austen', '-o', 'body', '--method', 'k-quant'] },
      {
        args: ['quantize', 'austen', '--exclude', '@head', '--set', '@down=bits:8', '--dry-run'],
        says: '8 bits for the down projections, whatever they are called:',
      },
    ],
  },
  {
    name: 'apply',
    about:
      'Runs surgeries in the order given. Options follow a colon; `|` separates the entries of a list.',
    examples: [
      {
        args: [
          'apply',
          'austen',
          '-o',
          'tied',
          '--surgery',
          'quantize-embedding:bits=8',
          '--surgery',
          'tie-word-embeddings',
        ],
      },
    ],
  },
  {
    name: 'repack',
    about:
      'Lays the bytes of a model out anew, in one file or several, without changing a tensor. Dead bytes are left out.',
    examples: [
      { args: ['repack', 'austen', '-o', 'packed'] },
      {
        args: [
          'repack',
          'austen',
          '-o',
          'parts',
          '--max-file-size',
          '3MB',
          '--data-name',
          '{model}.onnx_data',
        ],
        says: 'Several files, named as transformers.js expects:',
      },
      {
        args: ['repack', 'austen', '-o', 'tensors', '--data-format', 'safetensors'],
        says: 'A data file that the safetensors library reads too:',
      },
    ],
  },
  {
    name: 'evaluate',
    about: 'Perplexity of a decoder over token windows, through onnxruntime-node.',
    examples: [
      { args: ['evaluate', 'small', '--tokens', 'heldout.tokens.json', '--max-windows', '8'] },
    ],
  },
  {
    name: 'surgeries',
    about: 'The surgeries, or one with its options.',
    examples: [{ args: ['surgeries'] }, { args: ['surgeries', 'quantize-matmul'] }],
  },
  {
    name: 'doctor',
    about: 'What this installation can do, and why not more.',
    examples: [{ args: ['doctor'] }],
  },
];
