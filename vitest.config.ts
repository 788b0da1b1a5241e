import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They have a run of their own: npm run test:slow.
    exclude: ['test/**/*.slow.test.ts'],
    pool: 'forks',
    // A process for many files, which load the sources once: a third of the time went into loading them again.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
