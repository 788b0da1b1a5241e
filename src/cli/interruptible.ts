/** Ctrl-C: the first one stops a command in good order, the second ends the process at once. */

import { CancelledError } from '../errors.ts';
import { reportError } from './output.ts';

/**
 * Runs a command that may be stopped by SIGINT or SIGTERM: `signal` is aborted, and when `work` then throws a
 * CancelledError, that is reported, as JSON if asked to. Returns the exit code: that of `work`, or 130 or 143.
 */
export function interruptible(
  json: boolean,
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  return interruptibleLater(json, (signal, listen) => {
    listen();
    return work(signal);
  });
}

/**
 * As {@link interruptible}, for work that has nothing to put in order until it calls `listen`: so long a signal ends
 * the process at once, which shells see as 130 or 143 too, even while a graph is read and no event has its turn.
 */
export async function interruptibleLater(
  json: boolean,
  work: (signal: AbortSignal, listen: () => void) => Promise<number>,
): Promise<number> {
  const controller = new AbortController();
  let exitCode: number | undefined;
  const stop = (signal: NodeJS.Signals) => {
    exitCode = signal === 'SIGINT' ? 130 : 143;
    controller.abort(new CancelledError());
  };
  const listen = () => {
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  };
  try {
    return await work(controller.signal, listen);
  } catch (error) {
    if (exitCode === undefined || !(error instanceof CancelledError)) throw error;
    reportError(error, json);
    return exitCode;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
