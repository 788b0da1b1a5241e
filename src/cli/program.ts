/** The program: its commands, its errors in one voice, its exit codes. */

import { Command, CommanderError } from 'commander';
import { UsageError } from '../errors.ts';
import type { OptionTable } from '../surgeries/options.ts';
import { COMMANDS } from './command-table.ts';
import { HELP } from './help.ts';
import { reportError } from './output.ts';

/**
 * The command that is asked for; all, where none is.
 * @param options of the command `quantize`, when that is the one to run
 */
function buildProgram(
  args: readonly string[],
  setExit: (code: number) => void,
  options: OptionTable = {},
): Command {
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
  const [name = ''] = args;
  const wanted = Object.hasOwn(COMMANDS, name) ? [COMMANDS[name]] : Object.values(COMMANDS);
  for (const setUp of wanted) setUp?.(program, setExit, options);
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
    const setExit = (code: number) => {
      exitCode = code;
    };
    const program = buildProgram(args, setExit, quantize?.QUANTIZE_OPTIONS);
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
