/** Runs the command: built and as a user would, in a process of its own, or from the sources in this one. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Absolute path of a file of the repository. */
export function repositoryPath(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** What a command left behind. */
export interface CliResult {
  /** Exit code; null when a signal ended the process. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliSettings {
  readonly cwd?: string;
  /** Added to the environment; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The built command; throws when it was not built. */
export function cliPath(): string {
  if (!existsSync(MAIN)) {
    throw new Error(`${MAIN} is missing: run npm run build, or npm test, which builds first`);
  }
  return MAIN;
}

function environment(settings: CliSettings): NodeJS.ProcessEnv {
  return { ...process.env, DEBUG: undefined, ...settings.env };
}

/** Runs the command to its end. */
export function cli(args: readonly string[], settings: CliSettings = {}): CliResult {
  const { status, signal, stdout, stderr, error } = spawnSync(
    process.execPath,
    [cliPath(), ...args],
    { encoding: 'utf8', cwd: settings.cwd, env: environment(settings), maxBuffer: 2 ** 27 },
  );
  if (error !== undefined) throw error;
  return { status, signal, stdout, stderr };
}

/**
 * Runs the command in this process, to its end: a fifth of the work, where what it says and does is tested and not the
 * process. Tests of a file run one after another, so that its directory and streams are the command's for that time.
 */
export async function cliHere(
  args: readonly string[],
  { cwd = '.' }: Pick<CliSettings, 'cwd'> = {},
): Promise<Omit<CliResult, 'signal'>> {
  const written = { stdout: '', stderr: '' };
  const before = process.cwd();
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += text;
      return true;
    }),
  );
  vi.stubEnv('DEBUG', undefined);
  process.chdir(cwd);
  try {
    const status = await runCommandLine(args);
    return { status, ...written };
  } finally {
    process.chdir(before);
    vi.unstubAllEnvs();
    for (const spy of spies) spy.mockRestore();
  }
}

/** A command that is still running. */
export interface RunningCli {
  readonly process: ChildProcess;
  /** Resolves when stderr has shown `pattern`; rejects when the process ends before. */
  stderrShows(pattern: RegExp): Promise<void>;
  readonly finished: Promise<CliResult>;
}

/** Starts the command. */
export function startCli(args: readonly string[], settings: CliSettings = {}): RunningCli {
  const child = spawn(process.execPath, [cliPath(), ...args], {
    cwd: settings.cwd,
    env: environment(settings),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const listener of listeners) listener();
  });
  const finished = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
  return {
    process: child,
    finished,
    stderrShows: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(stderr)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
        finished.then(() => reject(new Error(`stderr never showed ${pattern}: ${stderr}`)), reject);
      }),
  };
}
