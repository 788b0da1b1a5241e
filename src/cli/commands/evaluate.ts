/** `onnx-lathe evaluate <model>`: perplexity through onnxruntime-node. */

import { evaluateModel } from '../../evaluate/perplexity.ts';
import { resolveModelPath } from '../../external-data/model-path.ts';
import { note, printJson, printLine } from '../output.ts';
import { type ProgressMode, progressDisplay } from '../progress.ts';
import { plural } from '../table.ts';

interface EvaluateFlags {
  readonly tokens: string;
  readonly window: number;
  readonly maxWindows?: number;
  readonly threads?: number;
  readonly component?: string;
  readonly json?: boolean;
  readonly progress: ProgressMode;
}

export async function evaluateCommand(model: string, flags: EvaluateFlags): Promise<number> {
  const { path } = resolveModelPath(model, flags.component);
  const display = progressDisplay(flags.progress);
  try {
    const result = await evaluateModel(path, {
      tokensPath: flags.tokens,
      windowTokens: flags.window,
      ...(flags.maxWindows === undefined ? {} : { maxWindows: flags.maxWindows }),
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
      onProgress: ({ windowsDone, windows }) => display.update('evaluating', windowsDone, windows),
    });
    display.finish();
    if (flags.json === true) {
      printJson({ model: path, ...result });
    } else {
      for (const text of result.notes) note(text);
      printLine(
        `${path}: perplexity ${result.perplexity.toFixed(3)} over ${plural(result.windows, 'window')} of ${result.windowTokens} tokens (${result.scoredTokens} scored)`,
      );
    }
    return 0;
  } finally {
    display.finish();
  }
}
