/** `onnx-lathe repack <model>`: the same tensors, laid out anew. */

import type { WriteFlags } from '../program.ts';
import { runWriteCommand } from './write-command.ts';

/** Flags of `repack`: those of every writing command, and the layout. */
export interface RepackFlags extends WriteFlags {
  readonly embed?: boolean;
  readonly dataName?: string;
  readonly maxFileSize?: number;
  readonly align?: number;
  readonly inlineBelow?: number;
}

export function repackCommand(model: string, flags: RepackFlags): Promise<number> {
  const { embed, dataName, maxFileSize, align, inlineBelow } = flags;
  const layout = { embed, dataName, maxFileSize, align, inlineBelow };
  return runWriteCommand(model, { name: 'repack', steps: [], layout }, flags);
}
