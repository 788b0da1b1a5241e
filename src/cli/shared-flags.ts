/** Flags that commands have in common, and how their values are read. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { formatSize, parseSize } from '../bytes.ts';
import { UsageError } from '../errors.ts';
import { DEFAULT_MEMORY_BYTES } from '../stream/budget.ts';

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

/** A count: a whole number from 1. */
export function parsePositive(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('give a whole number from 1');
}

/** A size, as in `64MB`, in bytes. */
export function parseBytes(text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw new InvalidArgumentError((error instanceof UsageError && error.hint) || 'not a size');
  }
}

/** The values of a flag that may be repeated. */
export function collect(value: string, list: readonly string[]): readonly string[] {
  return [...list, value];
}

/** How progress is told. */
export function progressFlag(): Option {
  return new Option('--progress <mode>', 'progress on stderr')
    .choices(['auto', 'plain', 'json', 'none'])
    .default('auto');
}

/** What every command has that streams weights. */
export function memoryFlags(command: Command): Command {
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

/** Adds the flags of {@link WriteFlags}. @param inPlace what help says of `--in-place` */
export function writeFlags(
  command: Command,
  inPlace = 'edit the model where it is; old data files stay',
) {
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
    .addOption(progressFlag())
    .option('-q, --quiet', 'print only the path of the result')
    .option('-v, --verbose', 'say what happened to each tensor, and measure its error');
}
