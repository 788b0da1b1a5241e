/** `onnx-lathe apply <model>`: surgeries in the order given. */

import { UsageError } from '../../errors.ts';
import { parseStep } from '../../recipes/recipe.ts';
import type { WriteFlags } from '../shared-flags.ts';
import { runWriteCommand } from './write-command.ts';

export async function applyCommand(
  model: string,
  flags: WriteFlags & { readonly surgery: readonly string[] },
): Promise<number> {
  if (flags.surgery.length === 0) {
    throw new UsageError('ERR_OPTION', 'no surgery was given', {
      hint: 'add --surgery NAME; `onnx-lathe surgeries` lists them',
    });
  }
  return runWriteCommand(model, { name: 'apply', steps: flags.surgery.map(parseStep) }, flags);
}
