import { defaultServerConditions } from 'vite'
import { defineConfig } from 'vitest/config'

// The source condition lets tests run on the TypeScript sources: no build stands between an edit and its test.
const conditions = ['@ate/source', ...defaultServerConditions]
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'scripts/test/**/*.test.ts'],
    globalSetup: ['scripts/test/home.ts'],
    setupFiles: ['scripts/test/equal-bytes.ts'],
    // ms; the long run (npm run test:long) sets its own
    testTimeout: Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 60_000),
    // One more than cores: tests wait for disks, processes, browsers and time.
    maxWorkers: 3,
    // What a passing test prints is noise in a log; a failing one shows it (the seed of a property, for example).
    silent: 'passed-only',
    reporters: [['default', { summary: process.stdout.isTTY && !process.env['CI'] }]],
  },
})
