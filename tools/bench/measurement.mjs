/** What benchmarks return: rows of one table. Pure. */

/** @typedef {import('./statistics.mjs').Summary} Summary */

/**
 * One line of the table.
 * @typedef {object} Measurement
 * @property {import('./options.mjs').BenchmarkName} benchmark
 * @property {string} what
 * @property {'MB' | 's' | 'ms' | 'x' | 'GB/s'} unit MB is a million bytes, x a ratio.
 * @property {Summary} summary
 * @property {number} [bar] Highest value that is good enough; without one the row is for information.
 * @property {number} [least] Lowest value that is good enough.
 * @property {'median' | 'high'} [judged] Which number the bar holds; the median when absent.
 */

/**
 * Whether the bar is met; undefined without one.
 * @param {Measurement} row
 */
export function isMet({ summary, bar, least, judged = 'median' }) {
  if (least !== undefined) return summary[judged] >= least;
  return bar === undefined ? undefined : summary[judged] <= bar;
}

/** @param {number} value @param {Measurement['unit']} unit */
function format(value, unit) {
  const digits = unit === 'MB' || unit === 'ms' ? (value < 10 ? 1 : 0) : 2;
  return value.toFixed(digits);
}

/**
 * The rows as a Markdown table.
 * @param {readonly Measurement[]} rows
 */
export function formatTable(rows) {
  const cells = rows.map((row) => {
    const { benchmark, what, unit, summary, bar, least, judged } = row;
    const met = isMet(row);
    const which = judged === undefined ? '' : judged === 'high' && least ? ' (best)' : ' (worst)';
    const limit =
      least !== undefined
        ? `≥ ${least} ${unit}${which}`
        : bar === undefined
          ? ''
          : `≤ ${bar} ${unit}${which}`;
    return [
      benchmark,
      what,
      `${format(summary.median, unit)} ${unit}`,
      `${format(summary.low, unit)}–${format(summary.high, unit)}`,
      String(summary.samples.length),
      limit,
      met === undefined ? '' : met ? 'met' : 'MISSED',
    ];
  });
  const table = [['', 'what', 'median', 'range', 'n', 'bar', ''], ...cells];
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(3, ...table.map((line) => (line[column] ?? '').length)),
  );
  /** @param {readonly string[]} line */
  const joined = (line) =>
    `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  const [head = [], ...body] = table.map(joined);
  return [head, rule, ...body].join('\n');
}
