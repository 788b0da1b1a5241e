/** `onnx-lathe repack <model>`: the same tensors, laid out anew. */

import type { DataFormat } from '../../external-data/layout.ts';
import type { WriteFlags } from '../shared-flags.ts';
import { runWriteCommand } from './write-command.ts';

/** Flags of `repack`: those of every writing command, and the layout. */
export interface RepackFlags extends WriteFlags {
  readonly embed?: boolean;
  readonly dataFormat?: DataFormat;
  readonly dataName?: string;
  readonly maxFileSize?: number;
  readonly align?: number;
  readonly inlineBelow?: number;
}

export function repackCommand(model: string, flags: RepackFlags): Promise<number> {
  const { embed, dataFormat, dataName, maxFileSize, align, inlineBelow } = flags;
  const layout = { embed, dataFormat, dataName, maxFileSize, align, inlineBelow };
  return runWriteCommand(model, { name: 'repack', steps: [], layout }, flags);
}
