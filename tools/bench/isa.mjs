/** How much the instruction set matters, and what a machine without the addon gets. For information. */

import { shrinkCommand } from './command-line-tool.mjs';
import { runCommand } from './command-run.mjs';
import { summarize } from './statistics.mjs';

/** @typedef {import('./measurement.mjs').Measurement} Measurement */

const ROUNDS = 3;

/** @type {readonly { what: string, env: Record<string, string> }[]} */
const VARIANTS = [
  { what: 'best instruction set', env: {} },
  { what: 'LATHE_ISA=avx2', env: { LATHE_ISA: 'avx2' } },
  { what: 'LATHE_ISA=plain', env: { LATHE_ISA: 'plain' } },
  { what: 'LATHE_ISA=wasm', env: { LATHE_ISA: 'wasm' } },
  { what: 'LATHE_ISA=typescript', env: { LATHE_ISA: 'typescript' } },
];

/**
 * @param {import('./workspace.mjs').Workspace} workspace
 * @param {import('./options.mjs').BenchOptions} options
 * @returns {Measurement[]}
 */
export function measureInstructionSets(workspace, { quick }) {
  const size = quick ? '0.1GB' : '0.5GB';
  /** @type {import('./command-run.mjs').CommandRun[][]} */
  const runs = VARIANTS.map(() => []);
  workspace.withModel(`--size ${size}`, 5e8, (model) => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, { env }] of VARIANTS.entries()) {
        const output = workspace.settle(model);
        runs[index]?.push(runCommand(shrinkCommand(model.modelPath, output), { env }));
        workspace.discard(output);
      }
    }
  });
  /** @type {Measurement[]} */
  const rows = [];
  for (const [index, { what }] of VARIANTS.entries()) {
    const wall = (runs[index] ?? []).map(({ wallSeconds }) => wallSeconds);
    const cpu = (runs[index] ?? []).flatMap(({ cpuSeconds }) => cpuSeconds ?? []);
    const label = `${size}, ${what}`;
    rows.push({
      benchmark: 'isa',
      what: `wall of shrink, ${label}`,
      unit: 's',
      summary: summarize(wall),
    });
    if (cpu.length === 0) continue;
    rows.push({
      benchmark: 'isa',
      what: `CPU of shrink, ${label}`,
      unit: 's',
      summary: summarize(cpu),
    });
  }
  return rows;
}
