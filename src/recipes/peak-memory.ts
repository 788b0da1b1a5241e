/** The process's own peak memory. */

import { readFileSync } from 'node:fs';

/**
 * Largest resident set so far, in bytes. Linux keeps the maximum of `getrusage` across exec, so that a small command
 * started by a large program would report the program; `VmHWM` starts anew.
 */
export function peakRssBytes(): number {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (line !== null) return Number(line[1]) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}
