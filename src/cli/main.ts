#!/usr/bin/env node
/** The command. Everything else is loaded when a command needs it, so that help is immediate. */

import { runCommandLine } from './program.ts';

// A reader that closes early (`| head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCommandLine(process.argv.slice(2));
