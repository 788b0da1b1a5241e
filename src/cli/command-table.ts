/** The commands: names, arguments, flags and help. What a command does is in commands/, loaded when it runs. */

import { type Command, Option } from 'commander';
import type { OptionTable } from '../surgeries/options.ts';
import { CHECK_HELP, DIFF_HELP, QUANTIZE_HELP, RECIPES, REPACK_HELP } from './command-help.ts';
import type { DiffFlags } from './commands/diff.ts';
import type { RepackFlags } from './commands/repack.ts';
import type { ShrinkFlags } from './commands/shrink.ts';
import { addOptionFlags } from './option-flags.ts';
import {
  collect,
  memoryFlags,
  parseBytes,
  parsePositive,
  progressFlag,
  type WriteFlags,
  writeFlags,
} from './shared-flags.ts';

/** Tensors that `inspect --tensors` lists. */
const LISTED_TENSORS = 20;

/** Puts a command into the program. `options` are those of `quantize`, when that is the one to run. */
type Setup = (program: Command, setExit: (code: number) => void, options: OptionTable) => void;

/** The commands by name. */
export const COMMANDS: Readonly<Record<string, Setup>> = {
  inspect: (program, setExit) => {
    program
      .command('inspect <model>')
      .description('what is inside, where the bytes are, what would shrink it')
      .option(
        '--tensors [count]',
        'list the largest tensors (default 20; all with --json)',
        parsePositive,
      )
      .option('--compare', 'read head and embedding and tell whether they are equal')
      .option('--savings', 'plan every recipe and tell what it would save, exactly')
      .option('--component <name>', 'which .onnx of a package of several')
      .option('--json', 'print the report as JSON')
      .action(async (model: string, { tensors, ...flags }) => {
        const { inspectCommand } = await import('./commands/inspect.ts');
        const count = tensors === true ? LISTED_TENSORS : tensors;
        setExit(await inspectCommand(model, { ...flags, tensors: count }));
      });
  },
  check: (program, setExit) => {
    program
      .command('check <model>')
      .description('everything that is wrong with it')
      .option(
        '--digest <file>',
        'write the SHA-256 of every tensor to a file, or verify against it',
      )
      .option('-f, --force', 'write the file of --digest even where there is one')
      .option('--component <name>', 'which .onnx of a package of several')
      .option('--json', 'print the findings as JSON')
      .addOption(progressFlag())
      .addHelpText('after', CHECK_HELP)
      .action(async (model: string, flags) => {
        const { checkCommand } = await import('./commands/check.ts');
        setExit(await checkCommand(model, flags));
      });
  },
  diff: (program, setExit) => {
    memoryFlags(program.command('diff <a> <b>'))
      .description('two models side by side: graphs, and the error of every tensor')
      .option('--component <name>', 'which .onnx of packages of several')
      .option('--json', 'print the report as JSON')
      .addOption(progressFlag())
      .addHelpText('after', DIFF_HELP)
      .action(async (a: string, b: string, flags: DiffFlags) => {
        const { diffCommand } = await import('./commands/diff.ts');
        setExit(await diffCommand(a, b, flags));
      });
  },
  shrink: (program, setExit) => {
    writeFlags(program.command('shrink <model>'))
      .description('make it small in one step')
      .option('--recipe <name>', 'named recipe', 'q4')
      .option(
        '--min-snr <dB>',
        'leave weights whose signal-to-noise ratio would be lower; they are read twice',
      )
      .addHelpText('after', `\n${RECIPES}\n\nExample:\n  onnx-lathe shrink model/ -o small/`)
      .action(async (model: string, flags: ShrinkFlags) => {
        const { shrinkCommand } = await import('./commands/shrink.ts');
        setExit(await shrinkCommand(model, flags));
      });
  },
  quantize: (program, setExit, options) => {
    writeFlags(addOptionFlags(program.command('quantize <model>'), options))
      .description('quantize the weights of MatMul and Gemm')
      .addHelpText('after', QUANTIZE_HELP)
      .action(async (model: string, flags: WriteFlags & Readonly<Record<string, unknown>>) => {
        const { quantizeCommand } = await import('./commands/quantize.ts');
        setExit(await quantizeCommand(model, flags));
      });
  },
  apply: (program, setExit) => {
    writeFlags(program.command('apply <model>'))
      .description('run surgeries in the order given')
      .option(
        '--surgery <spec>',
        'NAME or NAME:key=value,key=value; repeatable',
        collect,
        [] as readonly string[],
      )
      .addHelpText(
        'after',
        `
Example:
  onnx-lathe apply model/ -o out/ --surgery quantize-embedding:bits=8 --surgery tie-word-embeddings`,
      )
      .action(
        async (model: string, flags: WriteFlags & { readonly surgery: readonly string[] }) => {
          const { applyCommand } = await import('./commands/apply.ts');
          setExit(await applyCommand(model, flags));
        },
      );
  },
  repack: (program, setExit) => {
    const repack = program
      .command('repack <model>')
      .description('lay the same tensors out anew, without dead bytes')
      .addOption(
        new Option(
          '--data-format <format>',
          'what data files are (default: as in the input)',
        ).choices(['raw', 'safetensors']),
      )
      .option('--data-name <name>', 'name of the data file; {model} stands for that of the .onnx')
      .option('--max-file-size <size>', 'go on in another file (name_1, …) beyond', parseBytes)
      .option(
        '--align <size>',
        'start tensors at multiples of it (default: 4096 from 1 MiB, else 64; safetensors: 256)',
        parseBytes,
      )
      .option(
        '--inline-below <size>',
        'keep smaller tensors in the .onnx (default: 1 KiB)',
        parseBytes,
      )
      .option('--embed', 'put everything into the .onnx');
    writeFlags(repack, 'lay the model out anew where it is; data files nothing uses any more go')
      .addHelpText('after', REPACK_HELP)
      .action(async (model: string, flags: RepackFlags) => {
        const { repackCommand } = await import('./commands/repack.ts');
        setExit(await repackCommand(model, flags));
      });
  },
  evaluate: (program, setExit) => {
    program
      .command('evaluate <model>')
      .description('perplexity of a decoder, through onnxruntime-node')
      .requiredOption('--tokens <file>', 'JSON array of token ids')
      .option('--window <count>', 'tokens per window', parsePositive, 256)
      .option('--max-windows <count>', 'stop after this many windows', parsePositive)
      .option('--threads <count>', 'threads of ONNX Runtime', parsePositive)
      .option('--component <name>', 'which .onnx of a package of several')
      .option('--json', 'print the result as JSON')
      .addOption(progressFlag())
      .addHelpText(
        'after',
        '\nExample:\n  onnx-lathe evaluate examples/austen-tiny/mobius-fp16 --tokens examples/austen-tiny/heldout.tokens.json',
      )
      .action(async (model: string, flags) => {
        const { evaluateCommand } = await import('./commands/evaluate.ts');
        setExit(await evaluateCommand(model, flags));
      });
  },
  surgeries: (program) => {
    program
      .command('surgeries [name]')
      .description('the surgeries, or one with its options')
      .option('--json', 'print as JSON')
      .action(async (name: string | undefined, flags) => {
        const { surgeriesCommand } = await import('./commands/surgeries.ts');
        surgeriesCommand(name, flags);
      });
  },
  doctor: (program) => {
    program
      .command('doctor')
      .description('what this installation can do, and why not more')
      .option('--json', 'print as JSON')
      .action(async (flags) => {
        const { doctorCommand } = await import('./commands/doctor.ts');
        await doctorCommand(flags);
      });
  },
};
