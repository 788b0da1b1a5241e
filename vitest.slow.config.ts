import { defineConfig } from 'vitest/config';

/** What takes minutes: graphs of a million tensors, every layout of every exporter. */
export default defineConfig({
  test: {
    include: ['test/**/*.slow.test.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
