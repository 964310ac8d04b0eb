import { defaultServerConditions } from 'vite'
import { defineConfig } from 'vitest/config'

// The source condition lets tests run on the TypeScript sources: no build stands between an edit and its test.
const conditions = ['@ate/source', ...defaultServerConditions]
export const fromSources = { resolve: { conditions }, ssr: { resolve: { conditions, externalConditions: conditions } } }
/** They change what a process has one of: its working folder, its environment, its output. */
const ALONE = ['packages/cli/test/**/*.test.ts', 'scripts/test/**/*.test.ts']

export default defineConfig({
  ...fromSources,
  test: {
    globalSetup: ['scripts/test/home.ts'],
    setupFiles: ['scripts/test/equal-bytes.ts'],
    // ms; the long run (npm run test:long) sets its own
    testTimeout: Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 60_000),
    // One more than cores: tests wait for disks, processes, browsers and time.
    maxWorkers: 3,
    // What a passing test prints is noise in a log; a failing one shows it (the seed of a property, for example).
    silent: 'passed-only',
    reporters: [['default', { summary: process.stdout.isTTY && !process.env['CI'] }]],
    projects: [
      {
        extends: true,
        // Loading and warming up the modules anew for each file is a third of the processor time of all tests.
        test: { name: 'shared', include: ['packages/*/test/**/*.test.ts'], exclude: ALONE, isolate: false },
      },
      { extends: true, test: { name: 'alone', include: ALONE } },
    ],
  },
})
