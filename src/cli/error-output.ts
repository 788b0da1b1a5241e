/** Measured errors for people. Pure. */

import { decibels, type WeightError } from '../stream/weight-error.ts';
import { formatTable } from './table.ts';

/** A measured error with the name of what was measured. */
export interface NamedError extends WeightError {
  readonly tensor: string;
  /** More to say of it. */
  readonly note?: string;
}

/** Three significant digits: `0.00592`, `1.23e-7`, and `none` of a block of zeros that became something. */
export function formatRelative(relativeMse: number | undefined): string {
  return relativeMse === undefined ? 'of zero' : String(Number(relativeMse.toPrecision(3)));
}

/** `24.1 dB`; `exact` without any error, `none` where there was nothing but error. */
export function formatSnr({
  snrDb,
  relativeMse,
}: Pick<WeightError, 'snrDb' | 'relativeMse'>): string {
  if (relativeMse === 0) return 'exact';
  return snrDb === undefined ? 'none' : `${snrDb.toFixed(1)} dB`;
}

/** One line a tensor: signal to noise, relative mean square error, largest error, worst block. */
export function errorTable(errors: readonly NamedError[], indent = ''): string {
  const rows = errors.map((error) => {
    const { maxError, worstBlock, relativeMse, nonFinite } = error;
    const at = ({
      channel,
      element,
    }: {
      channel?: number | undefined;
      element?: number | undefined;
    }) => (channel === undefined ? '' : ` at ${channel}, ${element}`);
    return [
      formatSnr(error),
      `relative MSE ${formatRelative(relativeMse)}`,
      `max ${Number(maxError.value.toPrecision(3))}${at(maxError)}`,
      worstBlock === undefined
        ? ''
        : `worst block ${formatRelative(worstBlock.relativeMse)}${at(worstBlock)}`,
      error.tensor,
      error.note ?? '',
      nonFinite === 0 ? '' : `${nonFinite} not finite`,
    ];
  });
  return formatTable(rows, ['right'], indent);
}

function isWorse(a: WeightError, b: WeightError): boolean {
  return (a.relativeMse ?? Infinity) > (b.relativeMse ?? Infinity);
}

/** All of them in one line: `error: 24.1 dB in all, 21.9 dB at worst ("lm_head_Q4")`; undefined when there are none. */
export function errorSummary(errors: readonly NamedError[]): string | undefined {
  const [first, ...rest] = errors;
  if (first === undefined) return undefined;
  const worst = rest.reduce((so, error) => (isWorse(error, so) ? error : so), first);
  const total = (of: 'error' | 'signal') => errors.reduce((sum, error) => sum + error[of], 0);
  const [noise, signal] = [total('error'), total('signal')];
  const relativeMse = noise === 0 ? 0 : signal === 0 ? undefined : noise / signal;
  const all = formatSnr({ relativeMse, snrDb: decibels(relativeMse) });
  if (rest.length === 0) return `error: ${all} ("${worst.tensor}")`;
  return `error: ${all} in all, ${formatSnr(worst)} at worst ("${worst.tensor}")`;
}
