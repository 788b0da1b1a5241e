/** `onnx-lathe quantize <model>`: the surgery `quantize-matmul` with its options as flags. */

import quantizeMatmul from '../../surgeries/quantize-matmul.ts';
import { givenOptions } from '../option-flags.ts';
import type { WriteFlags } from '../shared-flags.ts';
import { runWriteCommand } from './write-command.ts';

/** The options that are flags of the command. */
export const QUANTIZE_OPTIONS = quantizeMatmul.options;

/** Options that say which nodes are meant. */
const CHOICES = ['include', 'exclude', 'mixed'] as const;

/**
 * Quantizes the linear layers of a model. The head is one where something is said about which; else it is left, since
 * an embedding that shares its table would go on being stored as float beside it.
 */
export function quantizeCommand(
  model: string,
  flags: WriteFlags & Readonly<Record<string, unknown>>,
): Promise<number> {
  const given = givenOptions(flags, QUANTIZE_OPTIONS);
  const isChosen = CHOICES.some((name) => given[name] !== undefined);
  const options = isChosen ? given : { ...given, exclude: ['@head?'] };
  return runWriteCommand(
    model,
    { name: 'quantize', steps: [{ surgery: quantizeMatmul.name, options }] },
    flags,
  );
}
