/**
 * Writes docs/commands.md: the help of every command and what the examples print, from real runs of the built
 * command line on examples/austen-tiny.
 *
 *   node tools/make-command-docs.mjs
 *
 * Times and memory in the examples are those of the machine it runs on.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMMANDS } from './docs/command-examples.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist', 'cli', 'main.js');

/**
 * What a terminal would show, and nothing else: both streams in one.
 * @param {readonly string[]} args @param {string} cwd
 */
function run(args, cwd) {
  const shell = `exec "$0" "$@" 2>&1`;
  const { stdout, status } = spawnSync('sh', ['-c', shell, process.execPath, main, ...args], {
    cwd,
    encoding: 'utf8',
  });
  return { text: stdout.trimEnd(), status };
}

/** @param {string} text */
function block(text) {
  return `\`\`\`\n${text}\n\`\`\``;
}

/** @param {import('./docs/command-examples.mjs').CommandDocument} command @param {string} cwd */
function section({ name, about, examples }, cwd) {
  const parts = [`## ${name}`, about, block(run([name, '--help'], cwd).text)];
  for (const { args, says, exit = 0, lines } of examples) {
    const { text, status } = run(args, cwd);
    if (status !== exit) throw new Error(`onnx-lathe ${args.join(' ')}: exit ${status}\n${text}`);
    const all = text.split('\n');
    const shown = lines === undefined || all.length <= lines ? all : [...all.slice(0, lines), '…'];
    if (says !== undefined) parts.push(says);
    parts.push(block([`$ onnx-lathe ${args.join(' ')}`, ...shown].join('\n')));
  }
  return parts.join('\n\n');
}

const work = mkdtempSync(join(tmpdir(), 'lathe-docs-'));
try {
  cpSync(join(root, 'examples', 'austen-tiny', 'mobius-fp16'), join(work, 'austen'), {
    recursive: true,
  });
  cpSync(
    join(root, 'examples', 'austen-tiny', 'heldout.tokens.json'),
    join(work, 'heldout.tokens.json'),
  );
  const intro = [
    '# Commands',
    'Every output below is that of a real run on the model of `examples/austen-tiny`, a language model of 4 million',
    'weights; `node tools/make-command-docs.mjs` makes this page. Answers go to stdout, everything else to stderr.',
  ]
    .join('\n\n')
    .replace('million\n\nweights', 'million\nweights');
  const sections = COMMANDS.map((command) => section(command, work));
  const page = [intro, block(run(['--help'], work).text), ...sections].join('\n\n');
  writeFileSync(join(root, 'docs', 'commands.md'), `${page}\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
