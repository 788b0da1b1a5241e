/** Flags of a command that has the options of a surgery: its table says which, so that no second list need be kept. */

import { type Command, Option } from 'commander';
import type { OptionSpec, OptionTable } from '../surgeries/options.ts';

/** `blockSize` as `block-size`. */
export function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function isList({ default: value }: OptionSpec<unknown>): boolean {
  return Array.isArray(value);
}

/** Adds a flag for every option of `table`; lists are flags that can be repeated. Values are not checked here. */
export function addOptionFlags(command: Command, table: OptionTable): Command {
  for (const [name, spec] of Object.entries(table)) {
    const flag = `--${kebabCase(name)}`;
    if (typeof spec.default === 'boolean') {
      command.option(flag, spec.help);
      continue;
    }
    const option = new Option(
      `${flag} <${spec.argument}>`,
      isList(spec) ? `${spec.help}; repeatable` : spec.help,
    );
    if (isList(spec)) {
      option.argParser((value: string, list: readonly string[] = []) => [...list, value]);
    } else if (spec.default !== undefined) {
      // Said, not filled in: what was not given is left to the surgery.
      option.description += ` (default: ${String(spec.default)})`;
    }
    command.addOption(option);
  }
  return command;
}

/** Those of the options of `table` that were given, as a recipe has them. */
export function givenOptions(
  flags: Readonly<Record<string, unknown>>,
  table: OptionTable,
): Record<string, unknown> {
  const given = Object.keys(table).filter((name) => flags[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, flags[name]]));
}
