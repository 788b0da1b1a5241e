/** What measuring a weight came to, in the units people compare. Pure. */

import { ERROR_FIELDS, type ErrorTotals, type Peak, unpackError } from '../kernels/measure.ts';
import type { Program } from './program.ts';

/** How far numbers that stand for a weight are from the weight itself. */
export interface WeightError {
  /** Elements compared. */
  readonly elements: number;
  /** Sum of the squared weights. */
  readonly signal: number;
  /** Sum of the squared errors. */
  readonly error: number;
  /** Sum of the squared errors divided by that of the squared weights; undefined where only the latter is zero. */
  readonly relativeMse: number | undefined;
  /** -10 log10 of it; undefined where it is zero or undefined. */
  readonly snrDb: number | undefined;
  readonly maxError: ErrorAt;
  /** The block with the largest relative squared error (undefined where its weights are zero); undefined without error. */
  readonly worstBlock: WorstBlock | undefined;
  /** Elements left out: one of the two is NaN or infinite, and the other is not the same. */
  readonly nonFinite: number;
}

/** The largest absolute error and where it is first; nowhere when it is zero. */
export interface ErrorAt {
  readonly value: number;
  readonly channel: number | undefined;
  readonly element: number | undefined;
}

/** A block, by its channel and first element. */
export interface WorstBlock {
  readonly relativeMse: number | undefined;
  readonly channel: number;
  readonly element: number;
}

/** The decibels of a ratio of squares; undefined for none and for no error at all. */
export function decibels(relativeMse: number | undefined): number | undefined {
  return relativeMse === undefined || relativeMse === 0 ? undefined : -10 * Math.log10(relativeMse);
}

function ratio(error: number, signal: number): number | undefined {
  if (signal > 0) return error / signal;
  return error === 0 ? 0 : undefined;
}

/** Puts totals over `elements` elements in channels of `k` into words. */
export function weightError(totals: ErrorTotals, elements: number, k: number): WeightError {
  const { error, signal, largest, worst, nonFinite } = totals;
  const relativeMse = ratio(error, signal);
  const place = ({ index }: Peak) => ({ channel: Math.floor(index / k), element: index % k });
  const nowhere = { channel: undefined, element: undefined };
  return {
    elements,
    signal,
    error,
    relativeMse,
    snrDb: decibels(relativeMse),
    maxError: { value: largest.value, ...(largest.index < 0 ? nowhere : place(largest)) },
    worstBlock:
      worst.index < 0
        ? undefined
        : { relativeMse: Number.isFinite(worst.value) ? worst.value : undefined, ...place(worst) },
    nonFinite,
  };
}

/** What the measured jobs of a program found, by job; `fields` holds ERROR_FIELDS numbers per job, or none. */
export function measuredErrors(program: Program, fields: Float64Array): Map<number, WeightError> {
  const errors = new Map<number, WeightError>();
  if (fields.length === 0) return errors;
  program.jobs.forEach((job, index) => {
    if (job.kernel !== 'quantize' || !job.measured) return;
    const { n, k } = job.parameters;
    const totals = unpackError(fields.subarray(index * ERROR_FIELDS, (index + 1) * ERROR_FIELDS));
    errors.set(index, weightError(totals, n * k, k));
  });
  return errors;
}
