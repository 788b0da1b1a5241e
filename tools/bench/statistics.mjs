/** Summaries of repeated measurements. Pure. */

/**
 * @typedef {object} Summary
 * @property {number} median
 * @property {number} low
 * @property {number} high
 * @property {readonly number[]} samples In the order measured.
 */

/**
 * Median and range of at least one number.
 * @param {readonly number[]} samples
 * @returns {Summary}
 */
export function summarize(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  /** @param {number} index */
  const at = (index) => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  const median = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
  return { median, low: at(0), high: at(sorted.length - 1), samples };
}

/**
 * Quotients of two series measured in the same rounds: what a busy machine does to both sides cancels out.
 * @param {readonly number[]} numerators
 * @param {readonly number[]} denominators
 * @returns {Summary}
 */
export function summarizeRatios(numerators, denominators) {
  return summarize(numerators.map((value, round) => value / (denominators[round] ?? Number.NaN)));
}
