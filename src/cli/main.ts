#!/usr/bin/env node
/** The command. Everything else is loaded when a command needs it, so that help is immediate. */

import { fromSystemError } from '../errors.ts';
import { reportError } from './output.ts';
import { runCommandLine } from './program.ts';

// A reader that closes early (`| head`) is no error of ours; answers come last, so that nothing is cut off.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.exit(reportError(fromSystemError(error, 'writing to stdout'), false));
});
// Nor one of stderr (`2>&1 | head`): the work goes on, whoever listens.
process.stderr.on('error', () => undefined);

process.exitCode = await runCommandLine(process.argv.slice(2));
