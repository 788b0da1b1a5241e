/** Control groups that limit memory, page cache included, as containers do. */

import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where memory groups live (version 1, version 2) and the file that holds a group's limit. */
const HIERARCHIES = [
  ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
  ['/sys/fs/cgroup', 'memory.max'],
] as const;

/** A group for one process after the other; disposing of it removes it. */
export interface MemoryGroup extends Disposable {
  /** The command that runs `command` within the group. */
  within(command: readonly string[]): [program: string, args: string[]];
}

/** Makes a group limited to `byteLength`; undefined where this process may not. */
export function makeMemoryGroup(byteLength: number): MemoryGroup | undefined {
  for (const [hierarchy, limit] of HIERARCHIES) {
    const group = join(hierarchy, `onnx-lathe-test-${process.pid}`);
    try {
      mkdirSync(group);
    } catch {
      continue;
    }
    if (existsSync(join(group, limit))) {
      writeFileSync(join(group, limit), String(byteLength));
      const script = 'echo $$ > "$0" && exec "$@"';
      return {
        within: (command) => ['sh', ['-c', script, join(group, 'cgroup.procs'), ...command]],
        [Symbol.dispose]: () => rmdirSync(group),
      };
    }
    rmdirSync(group);
  }
  return undefined;
}
