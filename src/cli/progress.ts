/** Progress of long work on stderr: a redrawn line on a terminal, plain lines or JSON elsewhere. */

import { formatSize } from '../bytes.ts';
import { isTerminal, stderr } from './stderr.ts';

export type ProgressMode = 'auto' | 'plain' | 'json' | 'none';

/** Shows how far a run is. `update` may be called as often as one likes; `finish` clears the line, once. */
export interface ProgressDisplay {
  update(phase: string, done: number, total: number): void;
  finish(): void;
}

/** Redraws per second on a terminal; more is only flicker. */
const REDRAW_MILLISECONDS = 100;
/** Pace of plain lines, which a log keeps. */
const PLAIN_MILLISECONDS = 10_000;

const SILENT: ProgressDisplay = { update: () => undefined, finish: () => undefined };

function percent(done: number, total: number): number {
  return total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
}

function text(phase: string, done: number, total: number, startedAt: number): string {
  const seconds = (Date.now() - startedAt) / 1000;
  const speed = seconds > 0.5 ? `, ${formatSize(done / seconds)}/s` : '';
  return `${phase}: ${percent(done, total)} % (${formatSize(done)} of ${formatSize(total)}${speed})`;
}

/** A display for `--progress`; `auto` draws on a terminal and is silent elsewhere. */
export function progressDisplay(mode: ProgressMode): ProgressDisplay {
  const canRedraw = () => process.env['TERM'] !== 'dumb' && isTerminal();
  if (mode === 'none' || (mode === 'auto' && !canRedraw())) return SILENT;
  let startedAt = 0;
  let lastAt = 0;
  let current = '';
  const redraw = mode === 'auto';
  const pace = redraw || mode === 'json' ? REDRAW_MILLISECONDS : PLAIN_MILLISECONDS;
  return {
    update(phase, done, total) {
      const now = Date.now();
      if (phase !== current) {
        current = phase;
        startedAt = now;
        lastAt = 0;
      }
      if (now - lastAt < pace && done < total) return;
      lastAt = now;
      if (mode === 'json') {
        stderr().write(`${JSON.stringify({ progress: { phase, done, total } })}\n`);
      } else if (redraw) {
        stderr().write(`\r\u001b[2K${text(phase, done, total, startedAt)}`);
      } else {
        stderr().write(`${text(phase, done, total, startedAt)}\n`);
      }
    },
    finish() {
      if (redraw && current !== '') stderr().write('\r\u001b[2K');
      current = '';
    },
  };
}
