/** The surgeries, in the order help lists them. A new one is its file and a line here. */

import { UsageError } from '../errors.ts';
import castWeights from './cast-weights.ts';
import constantToInitializer from './constant-to-initializer.ts';
import dedupeInitializers from './dedupe-initializers.ts';
import extractSubgraph from './extract-subgraph.ts';
import gemmToMatmulAdd from './gemm-to-matmul-add.ts';
import matmulNbitsToQdq from './matmul-nbits-to-qdq.ts';
import { suggestion } from './options.ts';
import qdqToMatmulNbits from './qdq-to-matmul-nbits.ts';
import quantizeEmbedding from './quantize-embedding.ts';
import quantizeMatmul from './quantize-matmul.ts';
import removeUnused from './remove-unused.ts';
import renameDims from './rename-dims.ts';
import renameInputs from './rename-inputs.ts';
import renameOutputs from './rename-outputs.ts';
import setIrVersion from './set-ir-version.ts';
import setOpsetImports from './set-opset-imports.ts';
import type { Surgery } from './surgery.ts';
import tieWordEmbeddings from './tie-word-embeddings.ts';

export const SURGERIES: readonly Surgery[] = [
  quantizeMatmul,
  quantizeEmbedding,
  tieWordEmbeddings,
  removeUnused,
  dedupeInitializers,
  constantToInitializer,
  gemmToMatmulAdd,
  castWeights,
  matmulNbitsToQdq,
  qdqToMatmulNbits,
  extractSubgraph,
  renameInputs,
  renameOutputs,
  renameDims,
  setOpsetImports,
  setIrVersion,
];

/** The surgery of a name or alias; case and dashes do not matter. Throws a UsageError with a suggestion. */
export function findSurgery(name: string): Surgery {
  const fold = (text: string) => text.toLowerCase().replaceAll('-', '');
  for (const surgery of SURGERIES) {
    if (fold(surgery.name) === fold(name)) return surgery;
    const alias = surgery.aliases.find((known) => fold(known) === fold(name));
    if (alias !== undefined) return surgery.named(alias);
  }
  throw new UsageError('ERR_UNKNOWN_NAME', `there is no surgery "${name}"`, {
    hint: suggestion(
      name,
      SURGERIES.flatMap((surgery) => [surgery.name, ...surgery.aliases]),
    ),
  });
}
