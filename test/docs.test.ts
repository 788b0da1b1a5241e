import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { HELP } from '../src/cli/help.ts';
import { COMMANDS } from '../tools/docs/command-examples.mjs';
import { cliHere, repositoryPath } from './support/cli.ts';

const page = readFileSync(repositoryPath('docs/commands.md'), 'utf8');

it('docs/commands.md has a section for every command', () => {
  const help = HELP;
  const commands = [...help.matchAll(/^ {2}([a-z]+)(?: <model>| <a> <b>| \[name\]|) {2,}/gm)].map(
    ([, name]) => name,
  );
  expect(COMMANDS.map(({ name }) => name).sort()).toEqual(commands.sort());
});

it.each(COMMANDS.map(({ name }) => name))(
  'docs/commands.md has the help of %s as it is',
  async (name) => {
    const { stdout } = await cliHere([name, '--help']);
    expect(page).toContain(`## ${name}\n`);
    expect(page).toContain(`\`\`\`\n${stdout.trimEnd()}\n\`\`\``);
  },
);
