/** `onnx-lathe shrink <model>`: a named recipe. */

import { namedRecipe } from '../../recipes/named.ts';
import type { WriteFlags } from '../program.ts';
import { runWriteCommand } from './write-command.ts';

export function shrinkCommand(
  model: string,
  flags: WriteFlags & { readonly recipe: string },
): Promise<number> {
  return runWriteCommand(model, namedRecipe(flags.recipe), flags);
}
