import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They replace modules of the house (`vi.mock`), which others in the same process would find replaced too. */
const withModulesOfTheirOwn = [
  'test/jobs/lease.test.ts',
  'test/jobs/worker.test.ts',
  'test/secrets/secret-key-without-links.test.ts',
];

/** Those that take longest, longest first. */
const longest = [
  'short-run',
  'backup-killed',
  'worker-killed',
  'backup-runs',
  'step-killed',
  'restore-command',
  'boot',
  'drain',
  'command-killed',
  'roles',
  'walkthrough',
  'postgres-restarted',
  'queue-killed',
  'frozen-worker',
  'sync-killed',
].map((name) => `${name}.test.ts`);

/** The longest first: else the last one leaves a core idle. A clean checkout has no earlier run to learn that from. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId, project }: TestSpecification) => {
      // Before all others: one in between would end the process that the others share.
      if (project.config.isolate) return -1;
      const index = longest.indexOf(basename(moduleId));
      return index < 0 ? longest.length : index;
    };
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/postgres-server.ts'],
    // Processes, not threads: tests kill workers, send signals and look at process.env.
    pool: 'forks',
    // One more than the cores that are counted on: the longest files mostly wait, for leases to run out and programs to end.
    maxWorkers: 3,
    // Generous, because nothing sleeps: a test that takes this long hangs.
    testTimeout: 20_000,
    hookTimeout: 30_000,
    teardownTimeout: 30_000,
    unstubEnvs: true,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: withModulesOfTheirOwn,
          // One process for many files: to load the house anew for each took half of the whole run. So what a module of
          // test/support holds or hooks into outlives its file: it is tied to the test (onTestFinished) instead.
          isolate: false,
        },
      },
      { extends: true, test: { name: 'apart', include: withModulesOfTheirOwn } },
    ],
  },
});
