import { describe, expect, it } from 'vitest';
import { runCommand } from '../../tools/bench/command-run.mjs';
import { formatTable, isMet } from '../../tools/bench/measurement.mjs';
import { parseCommandLine } from '../../tools/bench/options.mjs';
import { summarize, summarizeRatios } from '../../tools/bench/statistics.mjs';
import { UsageError } from '../../tools/make-model/options.mjs';

describe('summaries', () => {
  it('give the middle, or the mean of the two in the middle', () => {
    expect(summarize([9, 1, 5])).toMatchObject({ median: 5, low: 1, high: 9, samples: [9, 1, 5] });
    expect(summarize([4, 1, 3, 100])).toMatchObject({ median: 3.5, low: 1, high: 100 });
  });

  it('compare round by round, not total by total', () => {
    // The second round was twice as slow for both.
    expect(summarizeRatios([1, 2, 1], [2, 4, 1])).toMatchObject({ median: 0.5, low: 0.5, high: 1 });
  });
});

describe('bars', () => {
  const summary = summarize([140, 149, 151]);

  it('hold the median, or the worst where that is asked', () => {
    const row = { benchmark: 'memory', what: 'peak', unit: 'MB', summary, bar: 150 } as const;
    expect(isMet(row)).toBe(true);
    expect(isMet({ ...row, judged: 'high' })).toBe(false);
    expect(isMet({ ...row, judged: 'high', least: 151 })).toBe(true);
    expect(isMet({ ...row, least: 151 })).toBe(false);
    expect(isMet({ benchmark: 'memory', what: 'peak', unit: 'MB', summary })).toBeUndefined();
  });

  it('show in the table', () => {
    const table = formatTable([
      { benchmark: 'memory', what: 'peak', unit: 'MB', summary, bar: 150, judged: 'high' },
      { benchmark: 'copy', what: 'shrink / cp', unit: 'x', summary: summarize([1.25, 1.5]) },
    ]);
    expect(table.split('\n')).toEqual([
      '|        | what        | median | range     | n   | bar              |        |',
      '|--------|-------------|--------|-----------|-----|------------------|--------|',
      '| memory | peak        | 149 MB | 140–151   | 3   | ≤ 150 MB (worst) | MISSED |',
      '| copy   | shrink / cp | 1.38 x | 1.25–1.50 | 2   |                  |        |',
    ]);
  });
});

describe('commands', () => {
  it('fail with what they wrote', () => {
    const run = () => runCommand(['sh', '-c', 'echo no such luck >&2; exit 3']);
    expect(run).toThrow('sh -c echo no such luck >&2; exit 3: exit 3\nno such luck');
    expect(runCommand(['sh', '-c', 'exit 3'], { exit: 3 }).wallSeconds).toBeGreaterThan(0);
    expect(() => runCommand(['true'], { exit: 3 })).toThrow('true: exit 0');
  });

  it('are timed from outside', () => {
    const { wallSeconds } = runCommand([process.execPath, '-e', '0'], { bare: true });
    expect(wallSeconds).toBeGreaterThan(0.001);
    expect(wallSeconds).toBeLessThan(60);
  });
});

describe('command line', () => {
  it('measures everything unless told otherwise', () => {
    const all = ['memory', 'copy', 'methods', 'repack', 'startup', 'kernels', 'isa'];
    expect(parseCommandLine([])?.only).toEqual(all);
    const some = parseCommandLine(['--only', 'copy', '--only', 'isa', '--size', '4GB']);
    expect(some).toMatchObject({ only: ['copy', 'isa'], copyBytes: 4e9, rounds: 7 });
  });

  it.each([
    [
      ['--only', 'speed'],
      '--only speed is not one of memory, copy, methods, repack, startup, kernels, isa',
    ],
    [['--rounds', '3'], '--rounds 3 is not an integer from 5 to 1000'],
    [['--size', 'large'], '--size large is not a size'],
    [['--fast'], "Unknown option '--fast'"],
  ])('refuses %s', (args, message) => {
    expect(() => parseCommandLine(args)).toThrow(UsageError);
    expect(() => parseCommandLine(args)).toThrow(message);
  });
});
