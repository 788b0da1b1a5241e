/** Combines what the tiles of a fold found. The result does not depend on how the work was cut. Pure. */

import type { CastLoss } from '../kernels/cast.ts';
import type { Program } from './program.ts';
import { FOLD_FIELDS } from './tile-run.ts';

/** Result of a tie gate over all elements. */
export interface TieGateFold {
  readonly kernel: 'tie-gate';
  readonly compared: number;
  readonly rejected: number;
  /** Largest distance from the code, in steps, over elements that are not clamped. */
  readonly worstSteps: number;
  /** Element that is so far off, as channel * k + index, the first of equals; undefined when there is none. */
  readonly worstIndex: number | undefined;
}

/** Result of a comparison over all elements. */
export interface CompareFold {
  readonly kernel: 'compare';
  readonly compared: number;
  readonly different: number;
  /** First difference in the order of `a`; undefined when there is none. */
  readonly firstIndex: number | undefined;
}

/** What a cast would take from all elements. */
export interface CastFold extends CastLoss {
  readonly kernel: 'measure-cast';
}

export type FoldResult = TieGateFold | CompareFold | CastFold;

/** Results of all fold jobs, by job index. `folds` holds FOLD_FIELDS numbers per tile. */
export function combineFolds(program: Program, folds: Float64Array): Map<number, FoldResult> {
  const results = new Map<number, FoldResult>();
  program.jobs.forEach((job, index) => {
    if (job.kernel === 'tie-gate') {
      const { kernel } = job;
      results.set(index, {
        kernel,
        compared: 0,
        rejected: 0,
        worstSteps: 0,
        worstIndex: undefined,
      });
    } else if (job.kernel === 'compare') {
      const { kernel } = job;
      results.set(index, { kernel, compared: 0, different: 0, firstIndex: undefined });
    } else if (job.kernel === 'measure-cast') {
      const { kernel } = job;
      results.set(index, { kernel, overflowed: 0, zeroed: 0, subnormal: 0, peak: 0 });
    }
  });
  if (results.size === 0) return results;
  for (let tile = 0; tile < program.tiles.length; tile++) {
    const job = program.tiles.jobAt(tile);
    const so = results.get(job);
    if (so === undefined) continue;
    const [a = 0, b = 0, c = 0, d = 0] = folds.subarray(
      tile * FOLD_FIELDS,
      (tile + 1) * FOLD_FIELDS,
    );
    results.set(job, addTile(so, a, b, c, d));
  }
  return results;
}

function addTile(so: FoldResult, a: number, b: number, c: number, d: number): FoldResult {
  if (so.kernel === 'tie-gate') return addGate(so, a, b, c, d);
  if (so.kernel === 'compare') return addCompare(so, a, b, c);
  return {
    kernel: so.kernel,
    overflowed: so.overflowed + a,
    zeroed: so.zeroed + b,
    subnormal: so.subnormal + c,
    peak: Math.max(so.peak, d),
  };
}

function addGate(
  so: TieGateFold,
  compared: number,
  rejected: number,
  worstSteps: number,
  worstIndex: number,
): TieGateFold {
  const worse =
    worstIndex >= 0 &&
    (so.worstIndex === undefined ||
      worstSteps > so.worstSteps ||
      (worstSteps === so.worstSteps && worstIndex < so.worstIndex));
  return {
    kernel: 'tie-gate',
    compared: so.compared + compared,
    rejected: so.rejected + rejected,
    worstSteps: worse ? worstSteps : so.worstSteps,
    worstIndex: worse ? worstIndex : so.worstIndex,
  };
}

function addCompare(
  so: CompareFold,
  compared: number,
  different: number,
  firstIndex: number,
): CompareFold {
  const first = firstIndex < 0 ? so.firstIndex : Math.min(firstIndex, so.firstIndex ?? firstIndex);
  return {
    kernel: 'compare',
    compared: so.compared + compared,
    different: so.different + different,
    firstIndex: first,
  };
}
