import { defaultServerConditions } from 'vite'
import { defineConfig } from 'vitest/config'

// The source condition lets tests run on the TypeScript sources: no build stands between an edit and its test.
const conditions = ['@ate/source', ...defaultServerConditions]
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'scripts/test/**/*.test.ts'],
    testTimeout: 60_000,
  },
})
