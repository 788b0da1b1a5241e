/** The command tree: names, arguments, flags and help. What a command does is in commands/, loaded when it runs. */

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { formatSize, parseSize } from '../bytes.ts';
import { UsageError } from '../errors.ts';
import { DEFAULT_MEMORY_BYTES } from '../stream/budget.ts';
import type { OptionTable } from '../surgeries/options.ts';
import type { DiffFlags } from './commands/diff.ts';
import type { RepackFlags } from './commands/repack.ts';
import type { ShrinkFlags } from './commands/shrink.ts';
import { HELP } from './help.ts';
import { addOptionFlags } from './option-flags.ts';
import { reportError } from './output.ts';

/** Flags of every command that writes a model. */
export interface WriteFlags {
  readonly output?: string;
  readonly component?: string;
  readonly inPlace?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly assets: boolean;
  readonly sync: boolean;
  readonly memory: number;
  readonly threads?: number;
  readonly io: 'auto' | 'mmap' | 'pread';
  readonly json?: boolean;
  readonly progress: 'auto' | 'plain' | 'json' | 'none';
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

const RECIPES = `Recipes:
  q4 (default)    4-bit body, 8-bit embedding and head, stored once where tied
  q4-small        4 bits everywhere, stored once where tied
  q4-mixed        q4 with 8 bits for value and down projections of sensitive layers too
  q8              8 bits everywhere, stored once where tied
  int8-embedding  8-bit embedding and head only, stored once where tied`;

const CHECK_HELP = `
Looks at the format, the graph (names, order, cycles, operator sets, functions),
every tensor (type, shape, bytes) and every reference to a data file. Tensors
that share all their bytes are fine. An error: ONNX Runtime or this tool refuses
the model, or readers see different ones. A warning: it loads, others may refuse
it. A note is no finding.

--digest FILE writes FILE where there is none, else compares the model with it:
tensors that changed, are missing, or are new are errors. FILE is JSON, one
document a line: the model, each tensor, and last the number of tensors.

Exit codes: 0 no findings, 1 errors or warnings, 3 no model or no digest file.

Examples:
  onnx-lathe check model/
  onnx-lathe check model/ --digest model.digests`;

const DIFF_HELP = `
Weights are paired by what reads them, all other tensors by name. What is not
the same bit by bit is decoded, MatMulNBits, GatherBlockQuantized and blocked
DequantizeLinear like floats, and measured: <b> against <a>.

Exit codes: 0 the models are the same, 1 they differ, 3 one of them is no model.

Example:
  onnx-lathe diff model/ small/`;

function parsePositive(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('give a whole number from 1');
}

/** Tensors that `inspect --tensors` lists. */
const LISTED_TENSORS = 20;

function parseBytes(text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw new InvalidArgumentError((error instanceof UsageError && error.hint) || 'not a size');
  }
}

/** What every command has that streams weights. */
function memoryFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--memory <size>', 'memory for windows and buffers')
        .argParser(parseBytes)
        .default(DEFAULT_MEMORY_BYTES, formatSize(DEFAULT_MEMORY_BYTES)),
    )
    .option('--threads <count>', 'threads (default: all processors)', parsePositive)
    .addOption(
      new Option('--io <mode>', 'how weights are read')
        .choices(['auto', 'mmap', 'pread'])
        .default('auto'),
    );
}

function writeFlags(command: Command, inPlace = 'edit the model where it is; old data files stay') {
  command
    .option('-o, --output <path>', 'directory for the result, or a name ending in .onnx')
    .option('--in-place', inPlace)
    .option('-n, --dry-run', 'print the plan with exact sizes, write nothing')
    .option('-f, --force', 'replace an existing output')
    .option('--component <name>', 'which .onnx of a package of several')
    .option('--no-assets', 'leave tokenizer and configuration files behind')
    .option('--no-sync', 'do not wait for the disk: a power cut soon after may lose the output');
  return memoryFlags(command)
    .option('--json', 'print the report as JSON')
    .addOption(
      new Option('--progress <mode>', 'progress on stderr')
        .choices(['auto', 'plain', 'json', 'none'])
        .default('auto'),
    )
    .option('-q, --quiet', 'print only the path of the result')
    .option('-v, --verbose', 'say what happened to each tensor, and measure its error');
}

function collect(value: string, list: readonly string[]): readonly string[] {
  return [...list, value];
}

const QUANTIZE_HELP = `
Every MatMul and Gemm with a constant weight is quantized but the head, unless --include, --exclude or --mixed say
which; shrink is for embedding and head.

GLOB is a shell glob on the names of nodes, or a role that is found by what the graph does: @q @k @v, packed @qkv @kv @qk,
@o, @gate @up @down, packed @gate-up, @mixer-in and @mixer-out around linear attention, @router, @head. What matches no
node is warned of, but for a role with a ? behind it (@gate?). --set gives the nodes that match other options; the last
one that matches holds.

--mixed has the rules of onnxruntime-genai's builder. All give the head 8 bits; k_quant_mixed value and down projections
of sensitive layers too, k_quant_linear layers with linear attention.

Examples:
  onnx-lathe quantize model/ -o q4/
  onnx-lathe quantize model/ -o q4/ --mixed k_quant_mixed --method k-quant
  onnx-lathe quantize model/ -o q4/ --exclude @head --set '*down_proj*=bits:8,blockSize:64'`;

/** @param quantizeOptions of the command `quantize`, when that is the one to run */
function buildProgram(setExit: (code: number) => void, quantizeOptions?: OptionTable): Command {
  const program = new Command('onnx-lathe')
    .description(
      'Shrink, tie and repack ONNX models that are too big for the machine in front of you.',
    )
    .option('-V, --version', 'version of the tool, its addon and Node')
    .helpCommand(true)
    .exitOverride()
    // Errors are worded by `usageError`, in one voice with all others.
    .configureOutput({ outputError: () => undefined });
  program.helpInformation = () => HELP;

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

  program
    .command('check <model>')
    .description('everything that is wrong with it')
    .option('--digest <file>', 'write the SHA-256 of every tensor to a file, or verify against it')
    .option('-f, --force', 'write the file of --digest even where there is one')
    .option('--component <name>', 'which .onnx of a package of several')
    .option('--json', 'print the findings as JSON')
    .addOption(
      new Option('--progress <mode>', 'progress on stderr')
        .choices(['auto', 'plain', 'json', 'none'])
        .default('auto'),
    )
    .addHelpText('after', CHECK_HELP)
    .action(async (model: string, flags) => {
      const { checkCommand } = await import('./commands/check.ts');
      setExit(await checkCommand(model, flags));
    });

  memoryFlags(program.command('diff <a> <b>'))
    .description('two models side by side: graphs, and the error of every tensor')
    .option('--component <name>', 'which .onnx of packages of several')
    .option('--json', 'print the report as JSON')
    .addOption(
      new Option('--progress <mode>', 'progress on stderr')
        .choices(['auto', 'plain', 'json', 'none'])
        .default('auto'),
    )
    .addHelpText('after', DIFF_HELP)
    .action(async (a: string, b: string, flags: DiffFlags) => {
      const { diffCommand } = await import('./commands/diff.ts');
      setExit(await diffCommand(a, b, flags));
    });

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

  writeFlags(addOptionFlags(program.command('quantize <model>'), quantizeOptions ?? {}))
    .description('quantize the weights of MatMul and Gemm')
    .addHelpText('after', QUANTIZE_HELP)
    .action(async (model: string, flags: WriteFlags & Readonly<Record<string, unknown>>) => {
      const { quantizeCommand } = await import('./commands/quantize.ts');
      setExit(await quantizeCommand(model, flags));
    });

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
    .action(async (model: string, flags: WriteFlags & { readonly surgery: readonly string[] }) => {
      const { applyCommand } = await import('./commands/apply.ts');
      setExit(await applyCommand(model, flags));
    });

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
    .addHelpText(
      'after',
      `
One data file is written, called as in the input, unless options say otherwise. Tensors are never split, and those
that share bytes go on sharing them.

--data-format safetensors writes {model}.safetensors, which ONNX Runtime, onnx and the safetensors library read. The
format has no sharing: shared bytes are written again, and how many is said, with -n before anything is written.
Further files are called {model}-00001-of-00002.safetensors and so on.

Examples:
  onnx-lathe repack model/ --in-place
  onnx-lathe repack model/ -o web/ --data-name {model}.onnx_data --max-file-size 2000MB
  onnx-lathe repack model/ -o st/ --data-format safetensors
  onnx-lathe repack model/ -o one.onnx --embed`,
    )
    .action(async (model: string, flags: RepackFlags) => {
      const { repackCommand } = await import('./commands/repack.ts');
      setExit(await repackCommand(model, flags));
    });

  program
    .command('evaluate <model>')
    .description('perplexity of a decoder, through onnxruntime-node')
    .requiredOption('--tokens <file>', 'JSON array of token ids')
    .option('--window <count>', 'tokens per window', parsePositive, 256)
    .option('--max-windows <count>', 'stop after this many windows', parsePositive)
    .option('--threads <count>', 'threads of ONNX Runtime', parsePositive)
    .option('--component <name>', 'which .onnx of a package of several')
    .option('--json', 'print the result as JSON')
    .addOption(
      new Option('--progress <mode>', 'progress on stderr')
        .choices(['auto', 'plain', 'json', 'none'])
        .default('auto'),
    )
    .addHelpText(
      'after',
      '\nExample:\n  onnx-lathe evaluate examples/austen-tiny/mobius-fp16 --tokens examples/austen-tiny/heldout.tokens.json',
    )
    .action(async (model: string, flags) => {
      const { evaluateCommand } = await import('./commands/evaluate.ts');
      setExit(await evaluateCommand(model, flags));
    });

  program
    .command('surgeries [name]')
    .description('the surgeries, or one with its options')
    .option('--json', 'print as JSON')
    .action(async (name: string | undefined, flags) => {
      const { surgeriesCommand } = await import('./commands/surgeries.ts');
      surgeriesCommand(name, flags);
    });

  program
    .command('doctor')
    .description('what this installation can do, and why not more')
    .option('--json', 'print as JSON')
    .action(async (flags) => {
      const { doctorCommand } = await import('./commands/doctor.ts');
      await doctorCommand(flags);
    });

  return program;
}

/** An error of the option parser in the words of this tool: what is wrong, and the choices or a suggestion as hint. */
function usageError({ code, message }: CommanderError): UsageError {
  const [line = '', suggestion] = message.replace(/^error: /, '').split('\n');
  const [what = '', choices] = line.split(/(?<= is invalid)\. /);
  const hint = suggestion?.replace(/^\(D(.*)\)$/, 'd$1') ?? choices;
  return new UsageError(
    code === 'commander.unknownCommand' ? 'ERR_UNKNOWN_NAME' : 'ERR_OPTION',
    what.replace(/\.$/, ''),
    { hint: hint ?? 'run with --help for commands and options' },
  );
}

/** Runs the command line; returns the exit code. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  const json = args.includes('--json');
  try {
    const isQuantize = args.slice(0, 2).includes('quantize');
    const quantize = isQuantize ? await import('./commands/quantize.ts') : undefined;
    const program = buildProgram((code) => {
      exitCode = code;
    }, quantize?.QUANTIZE_OPTIONS);
    if (args[0] === '--version' || args[0] === '-V') {
      const { printVersion } = await import('./commands/doctor.ts');
      printVersion();
      return 0;
    }
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportError(error, json);
    // Help that was asked for, and help in place of a command.
    if (error.exitCode === 0) return 0;
    return error.code === 'commander.help' ? 2 : reportError(usageError(error), json);
  }
}
