#!/usr/bin/env node
/** The command. Everything is loaded when it is needed, so that help is immediate. */

import { HELP } from './help.ts';

/** Answers on stdout come last: a reader that closes early (`| head`) cuts nothing off and is no error of ours. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  Promise.all([import('../errors.ts'), import('./output.ts')]).then(
    ([{ fromSystemError }, { reportError }]) =>
      process.exit(reportError(fromSystemError(error, 'writing to stdout'), false)),
  );
});
// Nor one of stderr (`2>&1 | head`): the work goes on, whoever listens.
process.stderr.on('error', () => undefined);

const args = process.argv.slice(2);
if (args.length === 0) {
  process.stderr.write(HELP);
  process.exitCode = 2;
} else if (args.length === 1 && /^(-h|--help|help)$/.test(args[0] ?? '')) {
  process.stdout.write(HELP);
} else {
  const { runCommandLine } = await import('./program.ts');
  process.exitCode = await runCommandLine(args);
}
