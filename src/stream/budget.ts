/** How `--memory` is shared out: a ring that all threads share, and working memory for each. Pure. */

import { formatSize, MIB } from '../bytes.ts';
import { ResourceError } from '../errors.ts';

/** A budget divided: `ringBytes + threads * scratchBytes <= memoryBytes`. */
export interface Budget {
  readonly memoryBytes: number;
  readonly threads: number;
  /** Most a tile may take on its thread. */
  readonly scratchBytes: number;
  /** Most a panel may take. */
  readonly ringBytes: number;
}

/** `--memory` when the caller does not say. */
export const DEFAULT_MEMORY_BYTES = 64 * MIB;

// Tiles of rows work on about 1 MB, strips of columns on 2.25 MB, and on what their padding takes.
const LARGEST_SCRATCH = 2.5 * MIB;

/** Divides `memoryBytes` among `threads`: at most half goes to working memory, the rest to the ring. */
export function divideBudget(memoryBytes: number, threads: number): Budget {
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 0 || !(threads >= 1)) {
    throw new RangeError(`budget of ${memoryBytes} bytes for ${threads} threads`);
  }
  // Multiples of a cache line, so that buffers laid out one after another stay aligned.
  const scratch = Math.min(LARGEST_SCRATCH, Math.floor(memoryBytes / (2 * threads)));
  const scratchBytes = Math.floor(scratch / 64) * 64;
  const ringBytes = Math.floor((memoryBytes - threads * scratchBytes) / 64) * 64;
  return { memoryBytes, threads, scratchBytes, ringBytes };
}

/** The error for work that does not fit `budget`, though `neededBytes` of `--memory` would do. */
export function budgetError(what: string, budget: Budget, neededBytes: number): ResourceError {
  return new ResourceError(
    'ERR_MEMORY_BUDGET',
    `${what} needs ${formatSize(neededBytes)} of memory with ${budget.threads} threads, ` +
      `the budget is ${formatSize(budget.memoryBytes)}`,
    {
      hint: 'raise --memory or lower --threads',
      details: { neededBytes, memoryBytes: budget.memoryBytes, threads: budget.threads },
    },
  );
}
