#!/usr/bin/env node
/** The command. Everything is loaded when it is needed, so that help is immediate. */

import * as nodeModule from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { HELP } from './help.ts';
import { useKeptCode } from './kept-code.ts';

/** Answers on stdout come last: a reader that closes early (`| head`) cuts nothing off and is no error of ours. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  Promise.all([import('../errors.ts'), import('./output.ts')]).then(
    ([{ fromSystemError }, { reportError }]) =>
      process.exit(reportError(fromSystemError(error, 'writing to stdout'), false)),
  );
});

const args = process.argv.slice(2);
if (args.length === 0) {
  // Not stderr.ts, which is in the file that is not loaded yet.
  process.stderr.on('error', () => undefined);
  process.stderr.write(HELP);
  process.exitCode = 2;
} else if (args.length === 1 && /^(-h|--help|help)$/.test(args[0] ?? '')) {
  process.stdout.write(HELP);
} else {
  // The young generation would grow to 48 MB and more while a graph is read, and stay so while weights move. It
  // fills with short-lived descriptions: kept at its first size it costs no time.
  setFlagsFromString('--semi-space-growth-factor=1');
  // It is collected in a millisecond; waking threads for that takes as long again.
  setFlagsFromString('--no-parallel-scavenge');
  // Node 20 optimizes early what runs once, on a processor that the graph is read on: an eighth of the time to start.
  if (process.versions.node.startsWith('20.')) setFlagsFromString('--interrupt-budget=600000');
  // Node 22 keeps what it compiled in the temporary directory: every later run starts 40 ms sooner.
  const { enableCompileCache } = nodeModule as { readonly enableCompileCache?: () => void };
  if (enableCompileCache === undefined) useKeptCode();
  else enableCompileCache();
  // No `await` here: as CommonJS, which it is bundled as, this file has none.
  import('./program.ts')
    .then(({ runCommandLine }) => runCommandLine(args))
    .then((exitCode) => {
      process.exitCode = exitCode;
    });
}
