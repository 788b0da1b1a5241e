import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { loadNative } from './src/native.ts';

/** They compare the addon with TypeScript. */
const NATIVE_TESTS = 'test/**/*.native.test.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The slow ones have a run of their own: npm run test:slow.
    exclude: ['test/**/*.slow.test.ts', ...(loadNative() === undefined ? [NATIVE_TESTS] : [])],
    pool: 'forks',
    // A process for many files, which load the sources once: a third of the time went into loading them again.
    isolate: false,
    // All processors; by default one is left idle.
    maxWorkers: availableParallelism(),
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
