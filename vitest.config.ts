import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgres-server.ts'],
    // Processes, not threads: tests kill workers, send signals and look at process.env.
    pool: 'forks',
    // The server for all tests needs a core too; more workers only make timing noisier.
    maxWorkers: 2,
    // Generous, because nothing sleeps: a test that takes this long hangs.
    testTimeout: 20_000,
    hookTimeout: 30_000,
    teardownTimeout: 30_000,
  },
});
