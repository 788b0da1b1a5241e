/**
 * Quantize the token-embedding table to blocks: its Gather becomes a GatherBlockQuantized.
 *
 * The table is found by structure (rows looked up by a graph input of token ids), stored [vocab, hidden] or, behind
 * a Transpose, [hidden, vocab]. All lookups of the same table change together. All attributes are written and, unless
 * the table is symmetric, zero points, since their defaults differ between execution providers. Rows whose zero points
 * do not fill whole bytes (an odd number of blocks at 4 bits, no multiple of four at 2) are avoided by a smaller block,
 * or else the table is symmetric: ONNX Runtime up to 1.26 reads packed zero points of such rows from the wrong place.
 */

import { type Embedding, findEmbedding } from '../anatomy/embedding.ts';
import { findHead } from '../anatomy/head.ts';
import { ceilDiv } from '../bytes.ts';
import type { QuantizeParameters } from '../kernels/kernel.ts';
import { removeUnread } from '../model/liveness.ts';
import {
  blockwiseOptions,
  lossReason,
  quantizableWeight,
  quantizedInitializers,
  quantizeParameters,
} from './blockwise.ts';
import {
  lookupsOf,
  NO_ZERO_POINTS,
  replaceByGatherBlockQuantized,
} from './gather-block-quantized.ts';
import { checkOliveOptions, OliveNames, oliveParameters } from './olive-compat.ts';
import { choice } from './options.ts';
import { type Change, type Decline, defineSurgery, type SurgeryResult } from './surgery.ts';

type Blocks = Pick<QuantizeParameters, 'bits' | 'blockSize' | 'symmetric'>;

/** Blocks that a table of this width can have in GatherBlockQuantized, or the reason why it can have none. */
export function embeddingBlocks(hiddenSize: number, wanted: Blocks): Blocks | string {
  const sizes = ([256, 128, 64, 32, 16] as const).filter((size) => size <= wanted.blockSize);
  const dividing = sizes.filter((size) => hiddenSize % size === 0);
  const largest = dividing[0];
  if (largest === undefined) return `its width ${hiddenSize} is not a multiple of 16`;
  if (wanted.bits === 8 || wanted.symmetric) return { ...wanted, blockSize: largest };
  const zeroPointsPerByte = 8 / wanted.bits;
  const whole = dividing.find((size) => (hiddenSize / size) % zeroPointsPerByte === 0);
  return whole === undefined
    ? { ...wanted, blockSize: largest, symmetric: true }
    : { ...wanted, blockSize: whole };
}

/** What a user should know of the blocks a table has, where they are not those that were asked for. */
function blockWarnings(hiddenSize: number, wanted: Blocks, blocks: Blocks): string[] {
  const warnings: string[] = [];
  const isPacked = !wanted.symmetric && wanted.bits !== 8;
  if (blocks.blockSize !== wanted.blockSize) {
    const count = !isPacked ? 'a whole' : wanted.bits === 4 ? 'an even' : 'four times a whole';
    warnings.push(
      `the embedding has blocks of ${blocks.blockSize}: ${hiddenSize} columns do not make ${count} number of blocks of ${wanted.blockSize}`,
    );
  }
  if (blocks.symmetric && !wanted.symmetric) {
    const count = wanted.bits === 4 ? 'an odd number' : 'no multiple of four';
    warnings.push(`the embedding is symmetric: ${hiddenSize} columns make ${count} of blocks`);
  }
  if (blocks.symmetric) warnings.push(NO_ZERO_POINTS);
  if (blocks.bits === 2) warnings.push(TWO_BITS);
  return warnings;
}

const TWO_BITS =
  'the embedding has 2 bits: ONNX Runtime before 1.27 does not load GatherBlockQuantized with so few';

/** What a user should know of the blocks that Olive gives a table. */
function oliveWarnings({ bits, blockSize, symmetric, k }: QuantizeParameters): string[] {
  if (symmetric || (ceilDiv(k, blockSize) * bits) % 8 === 0) return [];
  return [
    `the embedding has an odd number of blocks: ONNX Runtime up to 1.26 reads their zero points from the wrong place`,
  ];
}

function nothing(declined: readonly Decline[]): SurgeryResult {
  return { changes: [], declined, warnings: [] };
}

function describeMissing(embedding: Embedding | undefined): Decline {
  if (embedding === undefined) {
    return {
      node: 'token embedding',
      reason: 'no Gather looks up rows of a constant table by a graph input of token ids',
    };
  }
  return { node: embedding.node.label, reason: 'the table is quantized already' };
}

export default defineSurgery({
  name: 'quantize-embedding',
  aliases: ['QuantizeEmbeddingInt8'],
  summary: 'Quantize the token-embedding table to blocks (GatherBlockQuantized)',
  options: {
    ...blockwiseOptions,
    bits: choice([2, 4, 8], { default: 8, help: 'bits per element' }),
  },
  check: (options) => checkOliveOptions('table', options),
  async apply(model, options, gates) {
    const embedding = findEmbedding(model, findHead(model)?.linear);
    if (embedding?.kind !== 'float') return nothing([describeMissing(embedding)]);
    const declined = (reason: string) => nothing([{ node: embedding.node.label, reason }]);
    const weight = quantizableWeight(embedding.table);
    if (typeof weight === 'string') return declined(weight.replace('its weight', 'its table'));
    const isOlive = options.compat === 'olive';
    const { layout, vocabSize: n, hiddenSize: k } = embedding;
    const blocks = isOlive ? options : embeddingBlocks(k, options);
    if (typeof blocks === 'string') return declined(blocks);
    const parameters = isOlive
      ? oliveParameters('table', weight, { layout, n, k }, options)
      : quantizeParameters(weight, { layout, n, k }, { ...blocks, method: options.method });
    if (typeof parameters === 'string') return declined(parameters);
    const warnings = blockWarnings(k, options, blocks);
    if (isOlive) warnings.push(...oliveWarnings(parameters));
    const loss = await lossReason(gates, weight, parameters, options.minSnr);
    if (loss !== undefined) return declined(loss.replace('its weight', 'its table'));
    const { source } = embedding.table;
    const table = quantizedInitializers(model, { source, range: weight.range }, parameters, 'flat');
    const lookups = lookupsOf(model, embedding);
    const labels = lookups.map((node) => node.label);
    const tables = lookups.map((node) => node.inputs[0]);
    const oliveNames = new OliveNames();
    for (const node of lookups) {
      if (isOlive) oliveNames.add(node, parameters);
      replaceByGatherBlockQuantized(model, node, table, parameters);
    }
    removeUnread(model, tables);
    oliveNames.apply(model);
    const what = `${parameters.bits}-bit table [${n}, ${k}]`;
    const changes: Change[] = labels.map((node) => ({ node, what }));
    return { changes, declined: [], warnings, quantized: [source] };
  },
});
